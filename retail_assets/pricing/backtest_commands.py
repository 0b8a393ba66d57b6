"""`retail backtest pricing`: price elasticities of anybody's sales history, proven on rows held back."""

import csv
import re
from pathlib import Path
from typing import Annotated

import typer

from retail_assets.terminal import Json, console, errors, print_json

EMPTY = re.compile(r'(^|,)\s*""\s*(,|$)')

backtests = typer.Typer(
    no_args_is_help=True,
    help="Try the models on any sales history: forecasts or price elasticities, scored on periods held back.",
)


@backtests.command(name="pricing")
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
    from retail_assets.pricing.backtest_view import backtest_with_progress, show_backtest
    from retail_assets.pricing.history import Columns

    if (units is None) == (log_units is None):
        raise typer.BadParameter("give either --units or --log-units")
    keys, beside = names_of(series), names_of(covariates)
    columns = Columns(keys, time, units or log_units or "", price, beside, units is None, item)
    found = backtest_with_progress(sales, columns, out, train_until, errors)
    print_json(found) if as_json else show_backtest(found, console)


def names_of(text: str) -> tuple[str, ...]:
    """The names in a list with commas; one that holds a comma, or spaces at its ends, or is empty, is put in double
    quotes.
    """
    rows = list(csv.reader([text], skipinitialspace=True))
    empty = EMPTY.search(text) is not None
    return tuple(_bare(name, text) for name in (rows[0] if rows else []) if name.strip() or (not name and empty))


def _bare(name: str, text: str) -> str:
    """The name without spaces around it, unless it was written with them in quotes."""
    quoted = '"' + name.replace('"', '""') + '"'
    return name if quoted in text else name.strip()
