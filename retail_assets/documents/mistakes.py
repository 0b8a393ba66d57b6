"""What a mistake is answered with: made by making it, in a folder of its own."""

import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

from retail_assets.documents.examples import printed
from retail_assets.sources.config import SOURCES_DIR, load_contracts
from retail_assets.sources.errors import SourceConfigError

WEEKS = 30
DAILY = (
    "backtest",
    "forecasting",
    "sales.csv",
    "--series",
    "item",
    "--time",
    "date",
    "--units",
    "units",
    "--out",
    "f.csv",
)


def blocks() -> dict[str, str]:
    """The made blocks by their names."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {"mistake: contract": _fenced(_misspelt(folder)), "mistake: freq": _fenced(_weeks_as_days(folder))}


def _fenced(text: str) -> str:
    return f"```\n{text}\n```"


def _misspelt(folder: Path) -> str:
    """A contract with a key that there is not."""
    configs = Path(shutil.copytree(SOURCES_DIR, folder / "sources"))
    file = configs / "pos_lines.yaml"
    file.write_text(file.read_text().replace("    format: csv", "    formta: csv", 1))
    try:
        load_contracts(configs)
    except SourceConfigError as error:
        return f"error: {error}".replace(str(configs), "configs/sources")
    raise AssertionError("a misspelt key was taken")


def _weeks_as_days(folder: Path) -> str:
    """Weekly sales without `--freq`."""
    days = [date(2023, 1, 1) + timedelta(weeks=week) for week in range(WEEKS)]
    lines = ["item,date,units", *(f"tea,{day},{1 + week % 5}" for week, day in enumerate(days))]
    (folder / "sales.csv").write_text("\n".join(lines) + "\n")
    return printed(DAILY, folder=folder)
