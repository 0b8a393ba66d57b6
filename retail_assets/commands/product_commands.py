"""The commands that products bring along, put where their words say."""

from collections.abc import Mapping

import typer

from retail_assets.core.products import load
from retail_assets.core.registry import products


def add_commands(app: typer.Typer, groups: Mapping[str, typer.Typer]) -> None:
    """Adds every command of every product: `prices` below `app`, `trace price` to the group `trace` of `groups`."""
    for words, name in sorted((words, name) for p in products().values() for words, name in p.commands.items()):
        group, _, word = words.rpartition(" ")
        made = load(name)
        if isinstance(made, typer.Typer):
            (groups[group] if group else app).add_typer(made, name=word)
        else:
            (groups[group] if group else app).command(name=word)(made)
