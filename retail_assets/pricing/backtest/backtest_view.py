"""A backtest as a person sees it: what is being done, then who won and the elasticities."""

import math
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from retail_assets.core.terminal import marked, print_table
from retail_assets.pricing.backtest.backtest import MOST_SHOWN, STEPS, Backtest, backtest
from retail_assets.pricing.backtest.backtest_tables import Estimate
from retail_assets.pricing.backtest.history import Columns
from retail_assets.pricing.config import load_config

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
    """Backtests `path` with one bar over its steps, and notices above it; raises HistoryError for unusable input."""
    ceiling = load_config().response.elasticity_ceiling
    steps = TextColumn("{task.description:<36}", markup=False)
    shown = (steps, BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console) as progress:
        task = progress.add_task("starting", total=STEPS)

        def on_step(step: str) -> None:
            progress.update(task, description=step, advance=1)

        def on_notice(notice: str) -> None:
            console.print(f"notice: {notice}", highlight=False, markup=False, soft_wrap=True)

        found = backtest(path, columns, out, train_until, ceiling, on_step, on_notice)
        progress.update(task, description="done", completed=STEPS)
    return found


def show_backtest(found: Backtest, console: Console) -> None:
    """Prints the contenders' errors, elasticities, covariates, what was particular, and the files written."""
    title = f"{found.scored_rows:,} rows after {found.scored_after}, held back from {found.rows:,}"
    figures = ("deviance per unit", "absolute error per unit", "MAPE")
    rows = []
    for name, score in found.scores.items():
        label = Text(f"{NAMES[name]} (kept)", style="bold") if name == found.kept else Text(NAMES[name])
        rows.append((label, f"{score.deviance:.4f}", f"{score.wape:.4f}", f"{score.mape:.4f}"))
    print_table(console, ("held-back rows", *figures), rows, title=title, numbers=figures)
    console.print(f"forecasts: {NAMES[found.forecast_by]}", highlight=False)
    if found.own:
        _show_series(found, console)
    if found.items and not _alone(found):
        _show_items(found, console)
    if len(found.items) > MOST_SHOWN:
        console.print(f"and {len(found.items) - MOST_SHOWN:,} more items in the files")
    if not found.own and not found.items:
        console.print(f"{found.series:,} series: their elasticities are in the first file", highlight=False)
    if found.covariates:
        _show_covariates(found, console)
    for name in found.beaten_by:
        console.print(
            marked("[yellow]{} was better on these rows[/]: look for covariates that are missing", NAMES[name])
        )
    for note in found.notes:
        console.print(note, highlight=False, markup=False)
    for file in found.files:
        console.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


def _alone(found: Backtest) -> bool:
    """Whether every item has one series, which is shown already."""
    return bool(found.own) and all(row.series == 1 and row.others is None for row in found.items)


def _show_series(found: Backtest, console: Console) -> None:
    heads = ("elasticity", "95 % interval", "least squares", "own share", "rows")
    rows = []
    for row in found.own:
        figures = (_figure(row.elasticity), _interval(row.lo, row.hi), _figure(row.ols))
        rows.append((row.series, *figures, f"{row.weight:.2f}", f"{row.rows:,}", _source(row)))
    title = "own-price elasticity of each series"
    print_table(console, ("series", *heads, "source"), rows, title=title, numbers=heads)


def _show_items(found: Backtest, console: Console) -> None:
    heads = ("elasticity", "95 % interval", "least squares", "series", "theirs are", "others' prices", "95 % interval")
    rows = []
    for row in found.items[:MOST_SHOWN]:
        own = (_figure(row.elasticity), _interval(row.lo, row.hi), _figure(row.ols), f"{row.series:,}")
        others = (_figure(row.others), _interval(row.others_lo, row.others_hi))
        rows.append((row.item, *own, _interval(row.lowest, row.highest), *others, _source(row)))
    title = "own-price elasticity of each item's average series"
    print_table(console, ("item", *heads, "source"), rows, title=title, numbers=heads)


def _show_covariates(found: Backtest, console: Console) -> None:
    of = "average series of" if found.items else "series"
    figures = ("effect", "95 % interval", "units")
    rows = []
    for row in found.covariates[:MOST_SHOWN]:
        units = "" if row.effect is None else f"{math.expm1(min(row.effect, 50.0)):+.0%}"
        rows.append((row.of, row.covariate, _figure(row.effect), _interval(row.lo, row.hi), units))
    title = "change of ln units for one more of a covariate"
    print_table(console, (of, "covariate", *figures), rows, title=title, numbers=figures)
    if len(found.covariates) > MOST_SHOWN:
        console.print(f"and {len(found.covariates) - MOST_SHOWN:,} more in the files")


def _source(row: Estimate) -> str:
    return f"{row.source}, cut off" if row.cut_off else row.source


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
