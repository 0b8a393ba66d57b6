"""Which mapping judges which quarantined rows: the one given, else the one they were loaded by, found where it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import Lines
from retail_assets.resources.lake import Lake
from retail_assets.sources.binding import Claims, check_claims
from retail_assets.sources.config import MAPPINGS_DIR, read_mapping
from retail_assets.sources.contract import Contract, Feed
from retail_assets.sources.imports import Remembered, remembered
from retail_assets.sources.load import mapped_contracts
from retail_assets.sources.raw import layout_of
from retail_assets.sources.staging import literal

Waiting = dict[str, dict[str, int]]
"""Quarantined rows by the prefix (`<mapping>/`, or nothing) and the name of the feed that brought them."""


class MappingNeeded(RetailError):
    """Quarantined rows whose mapping is not known, or a mapping that fits none of them."""


@dataclass(frozen=True)
class Judged:
    """The rows loaded under one prefix of feed names in ops/loads, and what judges them now.

    `file` is the mapping (None for configs/sources), `root` the folder of the files, `versions` what the mapping was
    before, oldest first.
    """

    prefix: str
    contract: Contract
    root: Path | None
    file: Path | None = None
    versions: tuple[Remembered, ...] = ()

    @property
    def labels(self) -> dict[str, Feed]:
        """Feeds as they are now by their names in ops/loads."""
        return {self.prefix + feed.name: feed for feed in self.contract.feeds}

    @property
    def by(self) -> str:
        """What judges, for people."""
        if self.file is None:
            return f"configs/sources/{self.contract.source}.yaml"
        last = self.versions[-1] if self.versions else None
        changed = last is not None and last.path == self.file.resolve() and not last.same_as(self.file)
        return f"{self.file}{', changed since the import' if changed else ''}"

    def derive_then(self, feed: Feed, loaded_at: datetime) -> str | None:
        """The SQL by which `feed` derived its rows when a file was loaded, empty where it did not; None: not known."""
        if self.file is None:
            return feed.derive or ""
        known = [version for version in self.versions if version.at <= loaded_at]
        return known[-1].derive(self.contract.source, feed.name) if known else None


def judges(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contracts: dict[str, Contract],
    source: str,
    landing: Path,
    given: Sequence[Path],
) -> tuple[list[Judged], list[str]]:
    """Who judges the quarantine of `source`, and notes about rows that nobody can judge.

    Raises MappingNeeded for a `given` mapping that fits no row, SourceConfigError for one that fits none of the files.
    """
    waiting, memory = _waiting(connection, lake, source), remembered(lake)
    files = {_fits(path, source, contracts, waiting, memory): path for path in given}
    found, notes = [], []
    for prefix, rows in waiting.items():
        if not prefix:
            found.append(Judged(prefix, contracts[source], landing))
            continue
        versions = memory.get(prefix[:-1], [])
        file = files.get(prefix) or _found_again(prefix[:-1], versions)
        if file is None:
            gone = "which is gone" if versions else "which this home does not know where to find"
            came = f"{sum(rows.values()):,} rows came by {_named(prefix, memory)}"
            notes.append(f"{came}, {gone}: give the file after the source")
        else:
            contract = _checked(connection, lake, contracts, source, prefix, file)
            found.append(Judged(prefix, contract, versions[-1].root if versions else None, file, tuple(versions)))
    return found, notes


def _waiting(connection: duckdb.DuckDBPyConnection, lake: Lake, source: str) -> Waiting:
    rows = connection.execute(
        f"SELECT feed, count(*) FROM {lake.scan('quarantine', source)} JOIN ("
        f"SELECT DISTINCT load_id, feed FROM {lake.scan('ops', 'loads')} "
        f"WHERE source = {literal(source)} AND status = 'committed') USING (load_id) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    found: Waiting = {}
    for label, count in rows:
        prefix, slash, feed = label.rpartition("/")
        found.setdefault(prefix + slash, {})[feed] = count
    return found


def _fits(
    path: Path,
    source: str,
    contracts: dict[str, Contract],
    waiting: Waiting,
    memory: Mapping[str, Sequence[Remembered]],
) -> str:
    """The prefix of the rows that the mapping in `path` fits: by its own name, else by the names of its feeds."""
    mapping, _ = read_mapping(path, contracts)
    feeds = {feed.name for feed in mapping.feeds if feed.source == source}
    fits = [prefix for prefix, rows in waiting.items() if prefix and feeds & rows.keys()]
    if f"{mapping.mapping}/" in fits:
        return f"{mapping.mapping}/"
    if len(fits) == 1 or not waiting:
        return fits[0] if fits else ""
    came = [
        f"{sum(rows.values()):,} by {_named(prefix, memory)}, feed {', '.join(rows)}"
        for prefix, rows in waiting.items()
    ]
    raise MappingNeeded(
        f"mapping {mapping.mapping!r} fits {'rows of several mappings' if fits else 'no row'} in the quarantine of "
        f"{source}; its rows came {'; '.join(came)}",
        where=str(path),
        todo="give the corrected mapping the name of the one that brought the rows, and its feeds the same names",
    )


def _found_again(name: str, versions: Sequence[Remembered]) -> Path | None:
    """The file of a mapping: where it was last, else the one of that name that ships."""
    places = [versions[-1].path] if versions else [MAPPINGS_DIR / f"{name}.yaml"]
    return next((path for path in places if path.is_file()), None)


def _named(prefix: str, memory: Mapping[str, Sequence[Remembered]]) -> str:
    versions = memory.get(prefix[:-1], ())
    return f"mapping {prefix[:-1]!r}{f' ({versions[-1].path})' if versions else ''}" if prefix else "landing/"


def _checked(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contracts: dict[str, Contract],
    source: str,
    prefix: str,
    file: Path,
) -> Contract:
    """The contract that the mapping in `file` makes of `source`, unless it names columns that no loaded file had."""
    mapping, lines = read_mapping(file, contracts)
    contract = next((c for c in mapped_contracts(mapping, contracts) if c.source == source), None)
    if contract is None:
        raise MappingNeeded(f"mapping {mapping.mapping!r} fills {source} no more", where=str(file))
    for i, feed in enumerate(mapping.feeds):
        if feed.source == source and feed.derive is None:
            _check_feed(connection, lake, contracts, contract, feed, prefix, ("feeds", i), lines)
    return contract


def _check_feed(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    contracts: dict[str, Contract],
    contract: Contract,
    feed: Feed,
    prefix: str,
    at: tuple[str | int, ...],
    lines: Lines,
) -> None:
    rows = connection.execute(
        f"SELECT DISTINCT layout FROM {lake.scan('ops', 'loads')} WHERE source = {literal(contract.source)} "
        f"AND feed = {literal(prefix + feed.name)} AND status = 'committed'"
    ).fetchall()
    layouts = [layout_of(layout) for (layout,) in rows]
    check_claims(connection, contracts, Claims.of(contract, feed, contracts), layouts, at, lines)
