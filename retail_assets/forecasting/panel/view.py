"""A backtest of forecasts as a person sees it: what is being done, then accuracy by level and segment."""

import math

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from retail_assets.core.terminal import print_table
from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.panel import Columns, Rules
from retail_assets.forecasting.panel.simple import NAMES
from retail_assets.forecasting.panel.trees import Settings

FIRST_GUESS = 12
ALIKE = 1e-3
WAYS = {
    "bottom_up": "bottom-up",
    "middle_out": "middle-out",
    "combined": "middle-out to the mean of both",
    "mint": "least squares over the upper levels",
}
PARTS = NAMES | {"naive": "the seasonal naive"}


def backtest_with_progress(
    files: Files,
    columns: Columns,
    rules: Rules,
    train_until: str | None,
    horizon: int,
    settings: Settings,
    console: Console,
) -> ForecastBacktest:
    """Backtests with one bar over its steps, and notices above it; raises PanelError for unusable input."""
    with Progress(
        TextColumn("{task.description:<42}", markup=False), BarColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        task = progress.add_task("starting", total=FIRST_GUESS)

        def on_step(step: str) -> None:
            progress.update(task, description=step, advance=1)

        def on_read(steps: int) -> None:
            progress.update(task, total=1 + steps)

        def on_notice(notice: str) -> None:
            console.print(f"notice: {notice}", highlight=False, markup=False, soft_wrap=True)

        found = backtest(files, columns, rules, train_until, horizon, settings, on_step, on_read, on_notice)
        progress.update(task, description="done")
    return found


def show_backtest(found: ForecastBacktest, console: Console) -> None:
    """Prints accuracy by level and segment, how it was reconciled, what is particular, cost and files."""
    _show_levels(found, console)
    _show_segments(found, console)
    console.print(_averaged(found), highlight=False)
    tried = ", ".join(f"{WAYS[name]} {error:.4f}" for name, error in found.ways.items())
    console.print(f"reconciled: {WAYS[found.way]} (on the window before: {tried})", highlight=False)
    console.print(_best(found), highlight=False)
    rungs = ", ".join(f"{count:,} {name}" for name, count in found.rungs.items())
    console.print(f"series by what their forecast rests on: {rungs}", highlight=False)
    for note in found.notes:
        console.print(note, highlight=False, markup=False)
    cost = f"{found.seconds:.0f} s, {found.cpu_seconds:.0f} s of processor time, at most {found.peak_gb:.1f} GB"
    console.print(f"{found.series:,} series, {found.first} to {found.last}: {cost}", highlight=False)
    for file in found.files:
        console.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


def _averaged(found: ForecastBacktest) -> str:
    """What was averaged, the largest share first."""
    shares = sorted(found.blend.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{PARTS[name]} {share:.0%}" for name, share in shares if round(share, 2) > 0)
    return f"averaged, as was best on the windows before: {shown}"


def _best(found: ForecastBacktest) -> str:
    """Which column to take for which error, as scored."""
    absolute = _nearer(found.absolute, found.absolute_median)
    squared = _nearer(found.wrmsse, found.wrmsse_median)
    return (
        f"least absolute error: {absolute} (per unit sold mean {_number(found.absolute)}, "
        f"q50 {_number(found.absolute_median)}, seasonal naive {_number(found.absolute_seasonal_naive)}); "
        f"least squared error: {squared} (mean {_number(found.wrmsse)}, q50 {_number(found.wrmsse_median)})"
    )


def _nearer(mean: float, median: float) -> str:
    if math.isclose(mean, median, rel_tol=ALIKE) or math.isnan(mean):
        return "mean or q50"
    return "mean" if mean < median else "q50"


def _show_levels(found: ForecastBacktest, console: Console) -> None:
    title = f"weighted RMSSE, pinball loss and absolute error per unit, {found.scored}"
    figures = ("nodes", "RMSSE", "naive's", "recent mean's", "pinball", "naive's", "mean", "q50", "90 % covers")
    rows: list[tuple[str | Text, ...]] = []
    for row in found.levels:
        values = (row.rmsse, row.seasonal_naive, row.recent_mean, row.pinball, row.pinball_baseline)
        errors = (row.absolute, row.absolute_median)
        shown = (_number(value) for value in (*values, *errors))
        rows.append((row.level, f"{row.nodes:,}", *shown, f"{row.coverage:.1%}"))
    means = (found.wrmsse, found.wrmsse_seasonal_naive, found.wrmsse_recent_mean, found.wspl, found.wspl_baseline)
    bold = (Text(_number(value), style="bold") for value in (*means, found.absolute, found.absolute_median))
    rows.append((Text("mean of levels", style="bold"), "", *bold, ""))
    print_table(console, ("level", *figures), rows, title=title, numbers=figures)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _show_segments(found: ForecastBacktest, console: Console) -> None:
    figures = ("series", "forecast", "seasonal naive", "recent mean", "error per unit", "forecast / sold")
    rows = []
    for row in found.segments:
        values = (row.rmsse, row.seasonal_naive, row.recent_mean, row.wape, row.share_of_sold)
        rows.append((row.segment, f"{row.series:,}", *map(_number, values)))
    title = "weighted RMSSE and absolute error per unit"
    print_table(console, ("segment of the series", *figures), rows, title=title, numbers=figures)
