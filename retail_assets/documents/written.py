"""Which documents have made blocks, and everything that can stand in one."""

from functools import cache
from pathlib import Path

from retail_assets.documents import checks_table, mistakes, refusals, settings_tables
from retail_assets.documents.blocks import names
from retail_assets.documents.examples import COMMANDS, examples
from retail_assets.resources.environments import PROJECT_ROOT


def documents() -> list[Path]:
    """README and documents that have a made block."""
    every = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
    return [document for document in every if names(document.read_text(encoding="utf-8"))]


@cache
def tables() -> dict[str, str]:
    """Every made block that needs no home."""
    return {"checks": checks_table.text(), **settings_tables.tables(), **refusals.blocks(), **mistakes.blocks()}


def made(home: Path) -> dict[str, str]:
    """Every made block by its name; `home` is a finished home of the sample retailer at scale tiny."""
    return tables() | examples(home)


def known() -> set[str]:
    """The names of all blocks that can be made."""
    return {*tables(), *(f"example: {name}" for name in COMMANDS)}
