"""A backtest of forecasts as a person sees it: what is being done, then accuracy by level and segment."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from retail_assets.forecasting.panel.backtest import Files, ForecastBacktest, backtest
from retail_assets.forecasting.panel.panel import Columns, Rules
from retail_assets.forecasting.panel.trees import Settings

OTHER_STEPS = 10
WAYS = {
    "bottom_up": "bottom-up",
    "middle_out": "middle-out",
    "combined": "middle-out to the mean of both",
    "mint": "least squares over the upper levels",
}


def backtest_with_progress(
    files: Files,
    columns: Columns,
    rules: Rules,
    train_until: str | None,
    horizon: int,
    settings: Settings,
    console: Console,
) -> ForecastBacktest:
    """Backtests with one bar over its steps; raises PanelError for unusable input."""
    steps = OTHER_STEPS + settings.members
    with Progress(TextColumn("{task.description:<42}"), BarColumn(), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("starting", total=steps)

        def on_step(step: str) -> None:
            progress.update(task, description=step, advance=1)

        found = backtest(files, columns, rules, train_until, horizon, settings, on_step)
        progress.update(task, description="done", completed=steps)
    return found


def show_backtest(found: ForecastBacktest, console: Console) -> None:
    """Prints accuracy by level and segment, how it was reconciled, what is particular, cost and files."""
    console.print(_levels(found))
    console.print(_segments(found))
    tried = ", ".join(f"{WAYS[name]} {error:.4f}" for name, error in found.ways.items())
    console.print(f"reconciled: {WAYS[found.way]} (on the window before: {tried})", highlight=False)
    rungs = ", ".join(f"{count:,} {name}" for name, count in found.rungs.items())
    console.print(f"series by what their forecast rests on: {rungs}", highlight=False)
    for note in found.notes:
        console.print(note, highlight=False)
    cost = f"{found.seconds:.0f} s, {found.cpu_seconds:.0f} s of processor time, at most {found.peak_gb:.1f} GB"
    console.print(f"{found.series:,} series, {found.first} to {found.last}: {cost}", highlight=False)
    for file in found.files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)


def _levels(found: ForecastBacktest) -> Table:
    table = Table("level", title=f"weighted RMSSE, {found.scored}", title_justify="left")
    for column in ("nodes", "forecast", "seasonal naive", "recent mean", "pinball", "baseline's", "90 % covers"):
        table.add_column(column, justify="right")
    for row in found.levels:
        values = (row.rmsse, row.seasonal_naive, row.recent_mean, row.pinball, row.pinball_baseline)
        table.add_row(row.level, f"{row.nodes:,}", *(f"{value:.4f}" for value in values), f"{row.coverage:.1%}")
    means = (found.wrmsse, found.wrmsse_seasonal_naive, found.wrmsse_recent_mean, found.wspl, found.wspl_baseline)
    table.add_row("[bold]mean of levels[/]", "", *(f"[bold]{value:.4f}[/]" for value in means), "")
    return table


def _segments(found: ForecastBacktest) -> Table:
    table = Table("segment of the series", title="weighted RMSSE and absolute error per unit", title_justify="left")
    for column in ("series", "forecast", "seasonal naive", "recent mean", "error per unit", "forecast / sold"):
        table.add_column(column, justify="right")
    for row in found.segments:
        values = (row.rmsse, row.seasonal_naive, row.recent_mean, row.wape, row.share_of_sold)
        table.add_row(row.segment, f"{row.series:,}", *(f"{value:.4f}" for value in values))
    return table
