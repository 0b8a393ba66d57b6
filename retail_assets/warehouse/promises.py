"""What dbt's tests promise, in words: their description, or else the SQL that they hold rows against."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retail_assets.resources.warehouse import PROJECT_DIR

BY_KIND = {
    "unique_key": "The columns in its name are never empty, and together they are the key of one row.",
    "filled": "The columns in its name are filled in every row that has to have them.",
    "no_overlap": "Periods of the same key do not overlap.",
}
"""What tests promise that are named after the columns they look at."""


def promise(test: Mapping[str, Any]) -> str:
    """One or two sentences about a test, given as its node in dbt's manifest; SQL stands in backticks."""
    if said := (test.get("description") or "").strip():
        return " ".join(said.split())
    kind = (test.get("test_metadata") or {}).get("name")
    given = (test.get("test_metadata") or {}).get("kwargs", {})
    if kind in BY_KIND and test["name"].startswith(kind):
        return BY_KIND[kind]
    if kind == "filled":
        of = f" with `{given['where']}`" if given.get("where") else ""
        return f"{', '.join(f'`{column}`' for column in given['columns'])} are filled in every row{of}."
    if kind == "holds":
        return f"`{given['expression']}`"
    if kind == "known_key":
        table_name = re.sub(r"ref\('(\w+)'\)", r"\1", given["to"])
        return f"Every `{given['column']}` is in `{table_name}`."
    return _comment(PROJECT_DIR / test["original_file_path"])


def _comment(file: Path) -> str:
    """The comment that a test's SQL begins with."""
    lines = file.read_text().splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("--"))
    said = []
    for line in lines[first:]:
        if not line.startswith("--"):
            break
        said.append(line.removeprefix("--").strip())
    return " ".join(said)
