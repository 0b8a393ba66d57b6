"""`python -m retail_assets.documents HOME`: writes what is made in the documents; `make docs` calls it.

HOME is a finished home of the sample retailer (`retail demo --scale tiny`), from which the examples are printed.
"""

import sys
from pathlib import Path

from retail_assets.documents import command_reference
from retail_assets.documents.blocks import filled
from retail_assets.documents.written import documents, made


def main(home: Path) -> None:
    """Writes the command reference and every document with made blocks."""
    command_reference.DOCUMENT.write_text(command_reference.text(), encoding="utf-8")
    blocks = made(home)
    for document in documents():
        document.write_text(filled(document.read_text(encoding="utf-8"), blocks), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
