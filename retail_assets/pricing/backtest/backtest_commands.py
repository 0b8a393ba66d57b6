"""`retail backtest pricing`: price elasticities of anybody's sales history, proven on rows held back."""

from pathlib import Path
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, console, errors, names_of, print_json


def backtest_pricing(
    sales: Annotated[Path, typer.Argument(help="Parquet or CSV, one row per series and time.")],
    series: Annotated[
        str,
        typer.Option(help="Columns that name a series, e.g. store,brand; the last one is the item."),
    ],
    time: Annotated[str, typer.Option(help="Column of dates, times or whole numbers; missing periods are fine.")],
    price: Annotated[str, typer.Option(help="Column of prices, or price{brand}: for brand 7 the column price7.")],
    out: Annotated[
        Path,
        typer.Option(help="Elasticities (.parquet or .csv); items, covariates, forecasts go beside."),
    ],
    units: Annotated[str | None, typer.Option(help="Column of units sold.")] = None,
    log_units: Annotated[str | None, typer.Option(help="Column of their natural logarithm instead.")] = None,
    covariates: Annotated[
        str,
        typer.Option(help="Columns that also change demand, e.g. deal,feat."),
    ] = "",
    item: Annotated[
        str | None,
        typer.Option(help="The column of --series that names the item, where that is not its last one."),
    ] = None,
    train_until: Annotated[
        str | None,
        typer.Option(help="Last time to learn from, as the file writes it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn price elasticities from any sales history, with 95 % intervals, and score them on rows held back.

    A series whose price hardly moved has no elasticity of its own: `source` says whose prices its figure rests on.
    """
    from retail_assets.pricing.backtest.backtest_view import backtest_with_progress, show_backtest
    from retail_assets.pricing.backtest.history import Columns

    if (units is None) == (log_units is None):
        raise typer.BadParameter("give either --units or --log-units")
    keys, beside = names_of(series), names_of(covariates)
    columns = Columns(keys, time, units or log_units or "", price, beside, units is None, item)
    found = backtest_with_progress(sales, columns, out, train_until, errors)
    print_json(found) if as_json else show_backtest(found, console)
