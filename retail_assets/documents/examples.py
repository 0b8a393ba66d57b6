"""Examples of what `retail` prints, made by running it on a finished home of the sample retailer (`--scale tiny`).

Identifiers are drawn anew in every home, so a name for their kind stands in their place.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retail_assets.resources.environments import PROJECT_ROOT

WIDTH = "118"
IDENTIFIERS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "DECISION"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA256"),
    (re.compile(r"(?<=[Mm]odel )[0-9a-f]{12}\b"), "VERSION"),
    (
        re.compile(r"(?<=batch )[0-9a-f]{12}\b|^[0-9a-f]{12}(?= of \d)|(?<=--batch )[0-9a-f]{12}\b", re.MULTILINE),
        "BATCH",
    ),
)


@dataclass(frozen=True)
class Example:
    """A command, and which of its lines are shown: at most `lines`, from the line `begins` on."""

    arguments: tuple[str, ...]
    lines: int
    begins: str = ""


BREAD = ("--store", "US-001", "--sku", "SKU-00002")
COMMANDS = {
    "forecast explain": Example(("forecast", "explain", *BREAD), 99),
    "forecast show": Example(("forecast", "show", *BREAD), 8),
    "prices": Example(("prices",), 4),
    "prices pending": Example(("prices", "pending", "--all"), 6),
    "trace price": Example(("trace", "price", "--store", "US-001", "--sku", "SKU-00001"), 9, "WHY"),
}
"""What is run for each example, by the name of its block."""


def examples(home: Path) -> dict[str, str]:
    """Every example as a fenced block, by the name of its block; `home` is only read."""
    return {f"example: {name}": _block(example, home) for name, example in COMMANDS.items()}


def printed(arguments: Sequence[str], home: Path | None = None, folder: Path = PROJECT_ROOT) -> str:
    """What a command prints, or its error where it fails. Run in `folder`, without a `home` on an empty one."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "retail"), *arguments],
            env=os.environ | {"RETAIL_HOME": str(home or nowhere), "RETAIL_ENV": "test", "COLUMNS": WIDTH},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    good = done.returncode == 0 or "--json" in arguments
    text = (done.stdout if good else done.stderr[done.stderr.find("error:") :]).rstrip()
    for pattern, kind in IDENTIFIERS:
        text = pattern.sub(kind, text)
    return text


def _block(example: Example, home: Path) -> str:
    lines = [line.rstrip() for line in printed(example.arguments, home).splitlines()]
    first = lines.index(example.begins) if example.begins else 0
    shown = lines[first : first + example.lines]
    above, below = ["..."] * (first > 0), ["..."] * (first + len(shown) < len(lines))
    return "\n".join(["```", f"$ retail {' '.join(example.arguments)}", *above, *shown, *below, "```"])
