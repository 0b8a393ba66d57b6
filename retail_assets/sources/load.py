"""Landing files into bronze and quarantine: crash-safe, each row accounted for."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb

from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake
from retail_assets.sources.batches import BatchLoader
from retail_assets.sources.binding import check_mapping
from retail_assets.sources.closed import closed_lake
from retail_assets.sources.config import load_contracts, read_mapping
from retail_assets.sources.contract import Contract, Expression, Feed, Mapping
from retail_assets.sources.discover import Discovery, Listing, discover, listing
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.imports import refuse_second, remember
from retail_assets.sources.locks import only_one
from retail_assets.sources.quality import empty_feeds, overlapping_receipts
from retail_assets.sources.raw import RawFile
from retail_assets.sources.report import LoadReport, Overlap, SkippedReport, SourceReport
from retail_assets.sources.state import State, read_state
from retail_assets.sources.tables import ensure_bronze
from retail_assets.sources.taken_out import finish_moves

BATCH_BYTES = 96 << 20
PARQUET_WEIGHT = 6
Progress = Callable[[str, int, int], None]
FaultPoint = Callable[[str], None]


def load_landing(
    lake: Lake, home: Home, config_dir: Path | None = None, progress: Progress | None = None
) -> LoadReport:
    """Loads every new file below `home.landing` into bronze and quarantine, sources in the order of their references.

    `progress(source, files_done, files_total)` is called after each batch. A second call with nothing new adds nothing.
    """
    contracts = load_contracts(config_dir)
    ensure_bronze(lake, contracts)
    return LoadReport(sources=_load_all(lake, home.landing, list(contracts.values()), progress, ""))


def _load_all(
    lake: Lake, root: Path, contracts: list[Contract], progress: Progress | None, prefix: str
) -> tuple[SourceReport, ...]:
    with closed_lake(lake) as connection:
        states = read_state(connection, lake, [contract.source for contract in contracts])
        return tuple(
            _load_new(connection, lake, root, contract, progress, prefix, states[contract.source])
            for contract in contracts
        )


def _load_new(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    root: Path,
    contract: Contract,
    progress: Progress | None,
    prefix: str,
    state: State,
) -> SourceReport:
    """Loads a source unless its `state` says that there is nothing new, which needs no further work."""
    finish_moves(lake, contract)
    found = listing(root, contract.source, contract.feeds, state)
    if state.unfinished or found.unknown:
        with connection.cursor() as cursor:
            return _load(cursor, lake, root, contract, progress, prefix, lambda _: None)
    return _nothing_new(lake, contract, found)


def _nothing_new(lake: Lake, contract: Contract, found: Listing) -> SourceReport:
    version = lake.version("bronze", contract.source)
    return SourceReport(source=contract.source, delta_version=version, not_read=found.not_read, no_files=found.no_files)


def import_retailer(
    lake: Lake,
    home: Home,
    mapping_path: Path,
    path: Path,
    progress: Progress | None = None,
    config_dir: Path | None = None,
    into_same_home: bool = False,
) -> LoadReport:
    """Loads a real retailer's files below `path`, laid out as the mapping says, into the lake of `home`.

    Nothing is copied: `file` in bronze is relative to `path`. Raises SourceConfigError, before anything is written,
    when a feed finds no file or names a column that none of its files has, and SecondRetailer when the home holds the
    files of another mapping, unless that is wanted (`into_same_home`).
    """
    contracts = load_contracts(config_dir)
    mapping, lines = read_mapping(mapping_path, contracts)
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise SourceConfigError(
            f"the folder of the files {what}", where=str(path), todo="name the folder that holds them"
        )
    refuse_second(lake, home, mapping.mapping, into_same_home)
    for feed in mapping.feeds:
        found = listing(path, str(feed.source), (feed,), State())
        if not found.unknown:
            raise _no_file(feed, path, found)
    mapped = mapped_contracts(mapping, contracts)
    check_mapping(mapping, lines, mapped, contracts, path)
    ensure_bronze(lake, contracts)
    remember(lake, mapping.mapping, mapping_path, path)
    reports = _load_all(lake, path, mapped, progress, f"{mapping.mapping}/")
    waiting = {r.source: lake.open("quarantine", r.source).count() for r in reports if r.rows_read == 0}
    return LoadReport(
        sources=reports,
        skipped=_skipped(mapping, path),
        waiting={name: rows for name, rows in waiting.items() if rows},
        overlap=_overlap(lake, mapping, reports),
    )


def _overlap(lake: Lake, mapping: Mapping, reports: Sequence[SourceReport]) -> Overlap | None:
    """Receipts that several files brought, where the mapping tells their lines apart by their place in a file."""
    lines = [feed.columns.get("line_no") for feed in mapping.feeds if feed.source == "pos_lines" and not feed.key]
    if not any(isinstance(line, Expression) and "_line" in line.sql for line in lines):
        return None
    days = [day for report in reports if report.source == "pos_lines" for day in report.business_dates]
    return overlapping_receipts(lake, days)


def mapped_contracts(mapping: Mapping, contracts: dict[str, Contract]) -> list[Contract]:
    """The contracts that `mapping` fills, with its feeds instead of the sample's, in reference order."""
    mapped = []
    for name, contract in contracts.items():
        feeds = tuple(feed for feed in mapping.feeds if feed.source == name)
        if feeds:
            mapped.append(contract.model_copy(update={"feeds": feeds, "key": feeds[0].key or contract.key}))
    return mapped


def load_source(
    lake: Lake,
    root: Path,
    contract: Contract,
    *,
    progress: Progress | None = None,
    prefix: str = "",
    fault_point: FaultPoint | None = None,
) -> SourceReport:
    """Loads the new files of one source below `root`. The tables must exist (ensure_bronze).

    Batches that an earlier process left unfinished are rolled back first. `prefix` goes before feed names in ops/loads.
    `fault_point` is called with the name of each step, for tests that kill the process there.
    """
    finish_moves(lake, contract)
    with lake.connect() as reader:
        state = read_state(reader, lake, [contract.source])[contract.source]
    found = listing(root, contract.source, contract.feeds, state)
    if not (state.unfinished or found.unknown):
        return _nothing_new(lake, contract, found)
    with closed_lake(lake) as connection:
        return _load(connection, lake, root, contract, progress, prefix, fault_point or (lambda _: None))


def _no_file(feed: Feed, path: Path, found: Listing) -> SourceConfigError:
    odd = found.not_read | found.no_files
    if odd:
        said = "; ".join(f"{name}: {why}" for name, why in odd.items())
        return SourceConfigError(
            f"feed {feed.name!r} finds no file {feed.files!r} that can be read; {said}",
            where=str(path),
            todo="see that they are files and that this user may read them, or correct `files` in the mapping",
        )
    there = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return SourceConfigError(
        f"feed {feed.name!r} finds no file {feed.files!r}; the folder holds {', '.join(there[:5]) or 'no file at all'}"
        + (f" and {len(there) - 5} more" if len(there) > 5 else ""),
        where=str(path),
        todo="name the folder that holds it, or correct `files` in the mapping: `sales-*.csv` is one file a day",
    )


def _load(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    root: Path,
    contract: Contract,
    progress: Progress | None,
    prefix: str,
    fault_point: FaultPoint,
) -> SourceReport:
    started = time.perf_counter()
    with only_one(lake, contract.source):
        # Only what is read under the lock is sure to be the newest state.
        state = read_state(connection, lake, [contract.source])[contract.source]
        loader = BatchLoader(connection, lake, contract, state, prefix, fault_point)
        loader.roll_back_unfinished()
        found = listing(root, contract.source, contract.feeds, state)
        _load_batches(loader, discover(found, state), contract.source, progress)
        report = loader.report()
    return report.model_copy(
        update={
            "empty_feeds": empty_feeds(lake, contract.source, loader.loaded()) if report.rows_quarantined else (),
            "no_files": found.no_files,
            "seconds": time.perf_counter() - started,
            "delta_version": lake.version("bronze", contract.source),
        }
    )


def _load_batches(loader: BatchLoader, found: Discovery, source: str, progress: Progress | None) -> None:
    done = 0
    loader.not_read |= found.not_read
    for batch in _batched(found.new):
        loader.load(batch)
        done += len(batch)
        if progress:
            progress(source, done, len(found.new))
    loader.record_repeated(found.repeated)


def _batched(files: tuple[RawFile, ...]) -> Iterator[list[RawFile]]:
    batch: list[RawFile] = []
    weight = 0
    for file in files:
        heavy = file.size * (PARQUET_WEIGHT if file.feed.format == "parquet" else 1)
        if batch and weight + heavy > BATCH_BYTES:
            yield batch
            batch, weight = [], 0
        batch.append(file)
        weight += heavy
    if batch:
        yield batch


def _skipped(mapping: Mapping, path: Path) -> tuple[SkippedReport, ...]:
    return tuple(
        SkippedReport(files=tuple(p.relative_to(path).as_posix() for p in sorted(path.glob(s.files))), reason=s.reason)
        for s in mapping.skipped
    )
