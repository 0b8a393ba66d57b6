"""What is new about the columns of a file: reported when a layout is first seen in a folder, never guessed."""

import json
from collections.abc import Iterable

from retail_assets.sources.contract import Contract, Feed
from retail_assets.sources.raw import Layout


class Layouts:
    """The layouts each feed has shown so far, per folder (one folder is one sender: a store, a shop)."""

    def __init__(self, known: Iterable[tuple[str, str, str]]) -> None:
        self._seen = {(feed, _folder(file), frozenset(json.loads(layout))) for feed, file, layout in known}

    def changes(
        self, contract: Contract, feed: Feed, label: str, file: str, layout: Layout, rows: int
    ) -> tuple[str, ...]:
        """How `layout` differs from what the feed expects; empty for a layout the folder has shown before.

        Of a file that has rows and no columns the reasons of its rows say all there is.
        """
        if not layout and rows:
            return ()
        names = frozenset(layout)
        shown = (label, _folder(file), names)
        if shown in self._seen:
            return ()
        self._seen.add(shown)
        return tuple(_differences(contract, feed, names)) if names else ("the file is empty",)


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _differences(contract: Contract, feed: Feed, names: frozenset[str]) -> Iterable[str]:
    expected: set[str] = set(feed.ignored)
    for column in contract.columns:
        given = feed.names(column)
        expected |= set(given)
        present = [name for name in given if name in names]
        if given and not present:
            kind = "required" if contract.columns[column].required else "optional"
            yield f"missing {kind} column {given[0]} ({column})"
        elif present and given[0] not in names:
            yield f"renamed column {given[0]} -> {present[0]} ({column})"
    if feed.derive is None:
        for name in sorted(name for name in names - expected if not feed.reads(name)):
            yield f"new column {name}"
