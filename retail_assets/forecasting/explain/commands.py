"""`retail forecast explain`: why a forecast is what it is."""

from pathlib import Path
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, errors, print_json, say
from retail_assets.resources.environments import current


def explain(
    store: Annotated[str, typer.Option("--store", help="A store.")],
    sku: Annotated[str, typer.Option("--sku", help="A SKU.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Why a forecast is what it is: units per reason that add up to it, beside Prophet's view of the department."""
    from retail_assets.forecasting.explain.explanation import explain as find
    from retail_assets.forecasting.explain.page import page
    from retail_assets.forecasting.explain.words import text

    with errors.status("reading what the forecast was made from"):
        found = find(current(), store, sku)
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
    print_json(found) if as_json else say(text(found))
    if html is not None and not as_json:
        say(f"\nwrote {html}")
