"""`retail trace`: from a decision back to the raw rows it rests on."""

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from retail_assets.environments import current
from retail_assets.home_lock import alone
from retail_assets.terminal import Json, as_instant, print_json, say

traces = typer.Typer(help="Follow a decision back to the raw rows it rests on.", no_args_is_help=True)


@traces.command(name="price")
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
    from retail_assets.lineage.page import page
    from retail_assets.lineage.trace import failed
    from retail_assets.lineage.trace import trace_price as find_and_trace
    from retail_assets.lineage.words import text

    if (decision is None) == (store is None or sku is None):
        raise typer.BadParameter("give either --decision, or --store and --sku")
    found = find_and_trace(current(), decision, store_id=store, sku=sku, at=at, replay=replay)
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
    print_json(found) if as_json else say(text(found))
    if (error := failed(found)) is not None:
        raise error


@traces.command()
def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make small files of the decision tables into few, and remove files that nothing needs any more."""
    from retail_assets.lineage.config import LineageConfig
    from retail_assets.lineage.maintenance import tidy as tidy_lake

    config = LineageConfig.load()
    environment = current()
    with nullcontext() if dry_run else alone(environment.home):
        done = tidy_lake(environment.lake, config.most_decision_files, config.live_decision_days, dry_run)
    if as_json:
        print_json([made.model_dump() for made in done])
        return
    for made in done:
        if made.compacted_days or made.removed or made.refused:
            said = made.refused or f"{made.files_before} files, now {made.files_after}; {made.removed} old ones removed"
            say(f"{made.table}: {said}")
    say(f"{len(done)} tables looked at")
