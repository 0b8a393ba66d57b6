"""What is new about the columns of a file: reported when it is first seen in a folder, never guessed."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from retail_assets.sources.contract import Contract, Feed, named
from retail_assets.sources.names import OFFERED
from retail_assets.sources.raw import Layout, Told, headings_of, layout_of


class Seen(NamedTuple):
    """A file as it was read: its feed's name in ops/loads, its own, its columns, its rows, what is said of columns."""

    label: str
    file: str
    layout: Layout
    rows: int
    told: Told

    @property
    def folder(self) -> str:
        """Where it lies: one folder is one sender (a store, a shop)."""
        return _folder(self.file)


class Layouts:
    """The layouts each feed has shown so far, per folder, and what was said of them."""

    def __init__(self, known: Iterable[tuple[str, str, str]]) -> None:
        self._seen: set[tuple[str, str, frozenset[str]]] = set()
        self._headings: dict[tuple[str, str], set[str]] = {}
        for feed, file, layout in known:
            self._seen.add((feed, _folder(file), frozenset(layout_of(layout))))
            if (headings := headings_of(layout)) is not None:
                self._headings.setdefault((feed, _folder(file)), set()).update(headings)

    def changes(self, contract: Contract, feed: Feed, file: Seen) -> tuple[str, ...]:
        """How the columns of `file` differ from what the feed expects; nothing that its folder has shown before.

        Of a file that has rows and no columns the reasons of its rows say all there is.
        """
        if not file.layout and file.rows:
            return ()
        names = frozenset(file.layout)
        shown = (file.label, file.folder, names)
        found = [] if shown in self._seen else list(_differences(contract, feed, file)) if names else [EMPTY]
        self._seen.add(shown)
        if feed.derive is not None and file.told:  # its layout is that of the SQL
            sender = (file.label, file.folder)
            found += _headings(feed, file.told, self._headings.get(sender))
            self._headings.setdefault(sender, set()).update(file.told)
        return tuple(found)


EMPTY = "the file is empty"


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _headings(feed: Feed, told: Told, known: Collection[str] | None) -> Iterator[str]:
    """What is new about the headings of files that rows are derived from; the first file says which are `known`."""
    for heading, text in told.items():
        view, _, name = heading.partition(".")
        beside = "" if view == "rows" else f" ({view})"
        if known is not None and heading in known:
            continue
        if text:
            yield text + beside
        elif known is not None and name not in feed.ignored and not feed.reads(name):
            yield f"new column {name}{beside}"


def _differences(contract: Contract, feed: Feed, file: Seen) -> Iterator[str]:
    names = file.layout.keys()
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
            yield file.told.get(name, f"new column {name}")
    for name in sorted(names):
        if name.lower() in OFFERED and named(name, feed.expressions):
            yield f"column {name} of the file is what SQL reads by that name, not {OFFERED[name.lower()]}"
