"""`retail forecast`: look at forecasts, hand them to other systems, and ask what a price or promotion would change."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from retail_assets.environments import current
from retail_assets.terminal import Json, console, print_json

Store = Annotated[str, typer.Option("--store", help="A store.")]
Sku = Annotated[str, typer.Option("--sku", help="A SKU.")]
Origin = Annotated[
    datetime | None, typer.Option("--origin", formats=["%Y-%m-%d"], help="The day they were made from; the newest.")
]

forecasts = typer.Typer(
    no_args_is_help=True,
    help="Forecasts of demand: show them, and hand them to planning systems.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@forecasts.command()
def show(store: Store, sku: Sku, origin: Origin = None, as_json: Json = False) -> None:
    """Show the days ahead of one store and SKU with their 90 % interval."""
    from retail_assets.planning.read import series_forecast
    from retail_assets.planning.show import forecast_document, product_name, show_forecast

    lake = current().lake
    rows = series_forecast(lake, store, sku, origin.date() if origin else None)
    print_json(forecast_document(rows)) if as_json else show_forecast(rows, product_name(lake, sku), console)


@forecasts.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="A file that ends in .csv, .json or .parquet.")],
    origin: Origin = None,
    level: Annotated[str, typer.Option(help="total, country, store ... sku_store (see the guide).")] = "sku_store",
    as_json: Json = False,
) -> None:
    """Write forecasts for planning systems, with their version, origin, unit and quantile levels."""
    from retail_assets.planning.export import export as write

    made = write(current().lake, out, origin.date() if origin else None, level)
    if as_json:
        print_json(made)
        return
    for file in made.files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)
    known = made.metadata
    said = (
        f"{known['rows']:,} forecasts of level {known['level']} from {known['origin_date']} by {known['model_version']}"
    )
    console.print(said, highlight=False)
