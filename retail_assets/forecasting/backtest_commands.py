"""`retail backtest forecasting`: forecasts of anybody's sales history with their accuracy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from retail_assets.core.terminal import Json, console, errors, names_of, print_json


class Freq(StrEnum):
    """Steps of time."""

    day = "D"
    week = "W"
    two_weeks = "2W"
    four_weeks = "4W"
    month = "M"
    quarter = "Q"
    fiscal = "4-4-5"
    fiscal_454 = "4-5-4"
    fiscal_544 = "5-4-4"

    @property
    def step(self) -> Any:
        """Its name in a panel: the order of long and short fiscal months is the file's own."""
        return "4-4-5" if self in (Freq.fiscal_454, Freq.fiscal_544) else self.value


class Gaps(StrEnum):
    """What a period without a row inside a series means."""

    zero = "zero"
    unknown = "unknown"


class Returns(StrEnum):
    """What is done with targets below zero."""

    refuse = "refuse"
    keep = "keep"


class Loss(StrEnum):
    """The error that `mean` keeps small."""

    squared = "squared"
    absolute = "absolute"
    percentage = "percentage"


def backtest_forecasting(
    sales: Annotated[Path, typer.Argument(help="Parquet or CSV, one row per series and period.")],
    series: Annotated[str, typer.Option(help="Columns that together name a series, e.g. item_id,store_id.")],
    time: Annotated[
        str,
        typer.Option(help="Column of dates, months (2024-03), quarters (2024Q1), or numbers of periods."),
    ],
    units: Annotated[str, typer.Option(help="Column of units sold.")],
    out: Annotated[Path, typer.Option(help="Forecasts (.parquet or .csv); those of the levels above go beside it.")],
    attributes: Annotated[
        Path | None, typer.Option(help="File with keys and groups of them (department, state), which make the levels.")
    ] = None,
    calendar: Annotated[
        Path | None,
        typer.Option(help="File with a row per period: flags (snap_CA: of series whose state is CA), events."),
    ] = None,
    covariates: Annotated[
        str, typer.Option(help="Columns known ahead, e.g. deal,price{brand}: the column named after the key's value.")
    ] = "",
    future: Annotated[
        Path | None,
        typer.Option(help="File with keys, time and the columns of --covariates for the periods after the sales."),
    ] = None,
    train_until: Annotated[
        str | None,
        typer.Option(help="Last period to learn from, as the file writes it; else the last of the file."),
    ] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Periods to forecast.")] = 28,
    freq: Annotated[
        Freq,
        typer.Option(help="How far apart periods are: days, weeks, 2 or 4 weeks, months, quarters, fiscal months."),
    ] = Freq.day,
    gaps: Annotated[
        Gaps, typer.Option(help="A period without a row, after a series' first: nothing sold, or unknown.")
    ] = (Gaps.zero),
    returns: Annotated[
        Returns, typer.Option(help="Units below zero: an error, or kept (scored as they are, learnt as 0).")
    ] = (Returns.refuse),
    loss: Annotated[
        Loss,
        typer.Option(help="Which error the column `mean` keeps small; squared makes it the expected units."),
    ] = Loss.squared,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Where chance starts: the same seed makes the same forecasts.")] = 7,
    as_json: Json = False,
) -> None:
    """Forecast any sales history of many series, with intervals, and score it on periods held back.

    The file that is written has the keys, the time, mean, quantiles (q05: 5 %), lo90 and hi90, and what each series'
    forecast rests on (rung: own history, the same item elsewhere, its category).
    """
    from retail_assets.forecasting.panel.backtest import Files
    from retail_assets.forecasting.panel.panel import Columns, Rules
    from retail_assets.forecasting.panel.trees import Settings
    from retail_assets.forecasting.panel.view import backtest_with_progress, show_backtest

    files = Files(sales, out, attributes, calendar, future)
    columns = Columns(names_of(series), time, units, names_of(covariates))
    rules = Rules(freq.step, gaps.value, returns.value)
    settings = Settings(loss=loss.value, threads=threads, seed=seed)
    found = backtest_with_progress(files, columns, rules, train_until, horizon, settings, errors)
    print_json(found) if as_json else show_backtest(found, console)
