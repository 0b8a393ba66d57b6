"""`retail trace`: the group of the products' traces, and the upkeep of what they read."""

from contextlib import nullcontext
from typing import Annotated

import typer

from retail_assets.core.terminal import Json, print_json, say
from retail_assets.resources.environments import current
from retail_assets.resources.home_lock import alone

traces = typer.Typer(help="Follow a decision back to the raw rows it rests on.", no_args_is_help=True)


@traces.command()
def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make small files of the decision tables into few, and remove files that nothing needs any more."""
    from retail_assets.provenance.config import LineageConfig
    from retail_assets.provenance.maintenance import tidy as tidy_lake

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
