"""A backtest as a person sees it: what is being done, then who won and the elasticities."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from retail_assets.pricing.backtest import STEPS, Backtest, backtest
from retail_assets.pricing.config import load_config
from retail_assets.pricing.history import Columns

MOST_ITEMS = 40
NAMES = {
    "no_response": "no answer to prices",
    "pooled_ols": "log-log least squares per item",
    "series_ols": "log-log least squares per series",
    "shrunken_log": "log-log, shrunken to the item",
    "shrunken_count": "counts, shrunken to the item",
    "with_others": "the better of these, with the prices of other items",
}


def backtest_with_progress(
    path: Path, columns: Columns, out: Path, train_until: str | None, console: Console
) -> Backtest:
    """Backtests `path` with one bar over its steps; raises HistoryError for unusable input."""
    ceiling = load_config().response.elasticity_ceiling
    shown = (TextColumn("{task.description:<36}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console) as progress:
        task = progress.add_task("starting", total=STEPS)

        def on_step(step: str) -> None:
            progress.update(task, description=step, advance=1)

        found = backtest(path, columns, out, train_until, ceiling, on_step)
        progress.update(task, description="done", completed=STEPS)
    return found


def show_backtest(found: Backtest, console: Console) -> None:
    """Prints the contenders' errors, the elasticity of each item, what was particular, and the files written."""
    title = f"{found.scored_rows:,} rows after {found.scored_after}, held back from {found.rows:,}"
    scores = Table("held-back rows", title=title, title_justify="left")
    for column in ("deviance per unit", "absolute error per unit", "MAPE"):
        scores.add_column(column, justify="right")
    for name, score in found.scores.items():
        label = f"[bold]{NAMES[name]} (kept)[/]" if name == found.kept else NAMES[name]
        scores.add_row(label, f"{score.deviance:.4f}", f"{score.wape:.4f}", f"{score.mape:.4f}")
    console.print(scores)
    console.print(f"forecasts: {NAMES[found.forecast_by]}", highlight=False)
    items = Table("item", title="own-price elasticity of an item's average series", title_justify="left")
    for column in ("elasticity", "95 % from", "to", "least squares", "others' prices", "95 % from", "to", "series"):
        items.add_column(column, justify="right")
    for row in found.items[:MOST_ITEMS]:
        values = (row.elasticity, row.lo, row.hi, row.ols, row.others, row.others_lo, row.others_hi)
        items.add_row(row.item, *("" if v is None else f"{v:.2f}" for v in values), f"{row.series:,}")
    console.print(items)
    if len(found.items) > MOST_ITEMS:
        console.print(f"and {len(found.items) - MOST_ITEMS:,} more items in the files")
    for name in found.beaten_by:
        console.print(f"[yellow]{NAMES[name]} was better on these rows[/]: look for controls that are missing")
    for note in found.notes:
        console.print(note, highlight=False)
    for file in found.files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)
