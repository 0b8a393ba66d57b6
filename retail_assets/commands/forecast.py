"""`retail forecast`: look at forecasts, hand them to other systems, and ask what a price or promotion would change."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, as_day, console, print_json
from retail_assets.resources.environments import current

Store = Annotated[str, typer.Option("--store", help="A store.")]
Sku = Annotated[str, typer.Option("--sku", help="A SKU.")]
Origin = Annotated[
    date | None,
    typer.Option("--origin", parser=as_day, metavar="DAY", help="Forecasts made on this day (default: the newest)."),
]

forecasts = typer.Typer(
    no_args_is_help=True,
    help="Forecasts of demand: show them, ask what a price or promotion would change, hand them to other systems.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@forecasts.command()
def show(store: Store, sku: Sku, origin: Origin = None, as_json: Json = False) -> None:
    """Show the days ahead of one store and SKU with their 90 % interval."""
    from retail_assets.planning.read import series_forecast
    from retail_assets.planning.show import forecast_document, product_name, show_forecast

    lake = current().lake
    rows = series_forecast(lake, store, sku, origin)
    print_json(forecast_document(rows)) if as_json else show_forecast(rows, product_name(lake, sku), console)


@forecasts.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="A file that ends in .csv, .json or .parquet.")],
    origin: Origin = None,
    level: Annotated[
        str,
        typer.Option(
            help="What is summed: total, country, store, department, category, two of these (store_category), sku, "
            "sku_country or sku_store."
        ),
    ] = "sku_store",
    weekly: Annotated[bool, typer.Option("--weekly", help="52 weeks instead of 28 days.")] = False,
    as_json: Json = False,
) -> None:
    """Write forecasts to a file for planning systems, with what a reader has to know about them."""
    from retail_assets.planning.export import export as write

    made = write(current().lake, out, origin, level, weekly)
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


@forecasts.command(name="what-if")
def what_if(
    store: Store,
    sku: Sku,
    first: Annotated[
        date, typer.Option("--from", parser=as_day, metavar="DAY", help="First day of the change (YYYY-MM-DD).")
    ],
    last: Annotated[date, typer.Option("--to", parser=as_day, metavar="DAY", help="Last day of the change.")],
    price: Annotated[
        float | None, typer.Option("--price", help="The list price instead, in the store's currency.")
    ] = None,
    promotion: Annotated[
        float | None, typer.Option("--promotion", help="A discount in percent; 0 ends a planned one.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file, or a .png picture.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a price or a promotion would change in one store and SKU."""
    from retail_assets.planning.live_pricing import live_price_model
    from retail_assets.planning.what_if import Change
    from retail_assets.planning.what_if import what_if as answer
    from retail_assets.planning.what_if_view import answer_document, save_plot, show_answer

    if (price is None) == (promotion is None):
        raise typer.BadParameter("give either --price or --promotion")
    environment, discount = current(), None if promotion is None else promotion / 100
    change = Change(first, last, price, discount)
    found = answer(environment.lake, live_price_model(environment, store), store, sku, change)
    if html is not None:
        save_plot(found, html)
    print_json(answer_document(found)) if as_json else show_answer(found, console)
    if html is not None and not as_json:
        console.print(f"wrote {html}", highlight=False, soft_wrap=True)
