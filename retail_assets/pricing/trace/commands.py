"""`retail trace price`: from a decision back to the raw rows it rests on."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, as_instant, print_json, say
from retail_assets.resources.environments import current


def trace_price(
    decision: Annotated[str | None, typer.Option(help="The id of a price decision.")] = None,
    store: Annotated[str | None, typer.Option(help="A store, with --sku.")] = None,
    sku: Annotated[str | None, typer.Option(help="A SKU, with --store.")] = None,
    at: Annotated[
        datetime | None,
        typer.Option(parser=as_instant, metavar="INSTANT", help="The price as it was at this instant (UTC)."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Decide the price again from the raw rows; exit code 1 where it differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Why a price is what it is: model, inputs, gold, dbt models, raw rows with their files and lines."""
    from retail_assets.pricing.trace.page import page
    from retail_assets.pricing.trace.trace import failed
    from retail_assets.pricing.trace.trace import trace_price as find_and_trace
    from retail_assets.pricing.trace.words import text

    if (decision is None) == (store is None or sku is None):
        raise typer.BadParameter("give either --decision, or --store and --sku")
    found = find_and_trace(current(), decision, store_id=store, sku=sku, at=at, replay=replay)
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
    print_json(found) if as_json else say(text(found))
    if (error := failed(found)) is not None:
        raise error
