"""Examples of what `retail` prints, made by running it on a finished home of the sample retailer (`--scale tiny`).

Identifiers are drawn anew in every home, so a name for their kind stands in their place.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from retail_assets.core.errors import RetailError
from retail_assets.environments import PROJECT_ROOT

WIDTH = "118"
IDENTIFIERS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "DECISION"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA256"),
    (re.compile(r"(?<=[Mm]odel )[0-9a-f]{12}\b"), "VERSION"),
    (re.compile(r"(?<=batch )[0-9a-f]{12}\b"), "BATCH"),
)
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "forecast explain": (("forecast", "explain", "--store", "US-001", "--sku", "SKU-00002"), 99),
    "forecast show": (("forecast", "show", "--store", "US-001", "--sku", "SKU-00004"), 8),
    "prices": (("prices",), 4),
    "prices one": (("prices", "--store", "US-001", "--sku", "SKU-00001"), 9),
}
"""What is run for each example, and how many lines of it are shown at most."""


def examples(home: Path) -> dict[str, str]:
    """Every example as a fenced block, by the name of its block; `home` is only read."""
    return {f"example: {name}": _block(arguments, most, home) for name, (arguments, most) in COMMANDS.items()}


def printed(arguments: Sequence[str], home: Path | None = None) -> str:
    """What a command prints on standard output, errors of it included; without a `home` in an empty one."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "retail"), *arguments],
            env=os.environ | {"RETAIL_HOME": str(home or nowhere), "RETAIL_ENV": "test", "COLUMNS": WIDTH},
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if not done.stdout:
        raise RetailError(f"retail {' '.join(arguments)} printed nothing: {done.stderr.strip()}", where=str(home))
    text = done.stdout.rstrip()
    for pattern, kind in IDENTIFIERS:
        text = pattern.sub(kind, text)
    return text


def _block(arguments: Sequence[str], most: int, home: Path) -> str:
    lines = [line.rstrip() for line in printed(arguments, home).splitlines()]
    shown = lines if len(lines) <= most else [*lines[:most], "..."]
    return "\n".join(["```", f"$ retail {' '.join(arguments)}", *shown, "```"])
