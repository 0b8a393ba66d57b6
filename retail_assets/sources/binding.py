"""Whether what a mapping says of its files' columns is true of any of them: a misspelt name is refused, not loaded.

A column that one file of a feed lacks is that file's matter (its rows are quarantined); one that no file has is a
mistake of the mapping, found before anything is written.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from retail_assets.core.settings import Lines, Location, did_you_mean
from retail_assets.sources.closed import closed_memory
from retail_assets.sources.contract import Contract, Feed, Mapping
from retail_assets.sources.discover import listing
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.judging import Judge, why_not_computed
from retail_assets.sources.raw import Layout
from retail_assets.sources.sampling import NotDerived, file_layouts, header_below, row_for_header
from retail_assets.sources.staging import Own, quoted, with_offered
from retail_assets.sources.state import State
from retail_assets.sources.values import sql_type

UNKNOWN = re.compile(r'(Referenced column|column named|find key|Referenced table) "([^"]+)"')
NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT|INTEGER|DECIMAL|FLOAT|DOUBLE")  # true where it is not 0
SHOWN = 5
DELIMITERS = ";\t|,"


@dataclass
class Claims:
    """What a feed says of its files that none of the layouts seen so far bears out, by where it is said."""

    feed: Feed
    contract: Contract
    fields: tuple[str, ...]
    skipped: dict[str, str]
    open: dict[Location, str] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    columns: int = 0
    _seen: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    @classmethod
    def of(cls, contract: Contract, feed: Feed, contracts: dict[str, Contract]) -> "Claims":
        """Everything `feed` says about columns: names of required ones, and its SQL."""
        skipped = {r.name: r.column for r in contract.references if r.column in feed.skip_references}
        contract = contract.for_feed(feed)
        fields = tuple(name for r in contract.references for name in contracts[r.source].columns)
        claims = cls(feed, contract, fields, skipped)
        claims.open = {("columns", name): "" for name in claims._plain()}
        claims.open |= {at: "" for at, _, _ in Judge(contract, feed, {}).texts()}
        return claims

    def see(self, connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
        """Closes every claim that `layout` bears out."""
        if not layout or frozenset(layout.items()) in self._seen:
            return
        self._seen.add(frozenset(layout.items()))
        self.names |= dict.fromkeys(layout)
        self.columns = max(self.columns, len(layout))
        for column in self._plain():
            if any(name in layout for name in self.feed.names(column)):
                self.open.pop(("columns", column), None)
        _create_view(connection, layout)
        from_json = self.feed.derive is None and self.feed.format in ("json", "jsonl")
        for at, sql in Judge(self.contract, self.feed, layout, from_json).trials("probe").items():
            if at in self.open and (what := _error(connection, sql, at[-1] == "quarantine_if")) is not None:
                # A layout that has the column and cannot use it says more than one that lacks it.
                if not self.open[at] or UNKNOWN.search(self.open[at]):
                    self.open[at] = what
            else:
                self.open.pop(at, None)

    def _plain(self) -> Iterator[str]:
        for column, spec in self.contract.columns.items():
            if spec.required and self.feed.names(column) and column not in self.feed.constants:
                yield column

    def mistakes(self) -> Iterator[tuple[Location, str]]:
        """What no layout bore out; nothing where no file could be read at all."""
        for at, what in self.open.items() if self.names else ():
            place = ".".join(map(str, at))
            if not what:
                name = self.feed.names(str(at[1]))[0]
                yield at, f"{place} names {name!r}, which no file has{did_you_mean(name, self.names)}"
            elif unknown := UNKNOWN.search(what):
                yield at, f"{place} names {unknown[2]!r}, which {self._nowhere(*unknown.groups())}"
            else:
                yield at, f"{place} cannot be computed: {what}"

    def _nowhere(self, kind: str, name: str) -> str:
        if kind == "find key":
            return "the row that is referred to does not have" + did_you_mean(name, self.fields)
        if kind == "Referenced table" and name in self.skipped:
            return f"skip_references leaves out by {self.skipped[name]!r}"
        if kind == "Referenced table":
            return "is nothing that is referred to" + did_you_mean(name, [r.name for r in self.contract.references])
        return "no file has" + did_you_mean(name, self.names)


def check_mapping(
    mapping: Mapping, lines: Lines, mapped: Iterable[Contract], contracts: dict[str, Contract], root: Path
) -> None:
    """Raises SourceConfigError naming file, line and nearest column for what no file of a feed below `root` has."""
    by_source = {contract.source: contract for contract in mapped}
    with closed_memory() as connection:
        for i, feed in enumerate(mapping.feeds):
            files = [path for path, *_ in listing(root, str(feed.source), (feed,), State()).unknown]
            claims = Claims.of(by_source[str(feed.source)], feed, contracts)
            try:
                check_claims(connection, contracts, claims, file_layouts(files, feed, root), ("feeds", i), lines)
            except NotDerived as wrong:
                said = _not_derived(wrong, feed, lines.at(("feeds", i, "derive")))
                raise _with_header_below(said, feed, files) from wrong
            except SourceConfigError as wrong:
                raise _with_header_below(wrong, feed, files) from wrong


def check_claims(
    connection: duckdb.DuckDBPyConnection,
    contracts: dict[str, Contract],
    claims: Claims,
    layouts: Iterable[Layout],
    at: Location,
    lines: Lines,
) -> None:
    """Raises SourceConfigError for claims of a feed, found at `at` in its file, that none of `layouts` bears out."""
    _create_references(connection, claims.contract, contracts)
    for layout in layouts:
        claims.see(connection, layout)
        if not claims.open:
            return
    mistakes = [(lines.at((*at, *location)), what) for location, what in claims.mistakes()]
    if mistakes:
        wrong = "name" if " names " in mistakes[0][1] else "line"
        said = [f"{place}: {what}" for place, what in mistakes[:SHOWN]]
        hint = _unsplit(list(claims.names)[: claims.columns])
        raise SourceConfigError(
            f"feed {claims.feed.name!r} of {claims.contract.source} does not fit its files {claims.feed.files!r}: "
            + "; ".join(said),
            where=mistakes[0][0],
            todo=f"correct the {wrong}; the files have {', '.join(claims.names)}{hint}",
        )


def _with_header_below(wrong: SourceConfigError, feed: Feed, files: Sequence[Path]) -> SourceConfigError:
    """`wrong`, with a hint where a line below the first of a CSV file has the names that the feed reads."""
    try:
        hint = _hint_at_header(feed, files)
    except OSError:
        return wrong
    return wrong if hint is None else SourceConfigError(wrong.what, where=wrong.where, todo=hint)


def _hint_at_header(feed: Feed, files: Sequence[Path]) -> str | None:
    if not files or feed.format != "csv":
        return None
    if (row := row_for_header(files[0], feed)) is not None:
        return (
            f"the first line of {files[0].name} seems to be a row, {row}: if the files have no header, name their "
            "columns by `dialect: {header: [...]}`"
        )
    line = header_below(files[0], feed) if feed.derive is None else None
    if line is None:
        return None
    return f"the header seems to be line {line} of {files[0].name}: say `dialect: {{skip_lines: {line - 1}}}`"


def _not_derived(wrong: NotDerived, feed: Feed, where: str) -> SourceConfigError:
    unknown = UNKNOWN.search(str(wrong))
    what = str(wrong).partition(": ")[2]
    if unknown and unknown[1] != "Referenced table":
        what = (
            f"it names {unknown[2]!r}, which {wrong.file.name} does not have{did_you_mean(unknown[2], wrong.columns)}"
        )
    return SourceConfigError(
        f"feed {feed.name!r} cannot be derived: {what}",
        where=where,
        todo=f"correct the SQL; {wrong.file.name} has {', '.join(wrong.columns)}{_unsplit(wrong.columns)}",
    )


def _unsplit(columns: Sequence[str]) -> str:
    """A hint for files that were not split at all."""
    used = next((mark for mark in DELIMITERS if mark in columns[0]), None) if len(columns) == 1 else None
    return "" if used is None else f" (one column: is the delimiter {used!r}?)"


def _create_view(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    columns = "".join(f", NULL::{kind} AS {quoted(name)}" for name, kind in layout.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW probe AS SELECT *{with_offered(layout)} FROM (SELECT 0 AS {Own.POS}, "
        f"0::INTEGER AS {Own.FILE}, 0::INTEGER AS {Own.LINE}, ''::VARCHAR AS {Own.RAW}, "
        f"NULL::VARCHAR AS {Own.PROBLEM}{columns} WHERE false)"
    )


def _create_references(
    connection: duckdb.DuckDBPyConnection, contract: Contract, contracts: dict[str, Contract]
) -> None:
    """Empty tables of the shapes that a judge joins."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE files (_file INTEGER, load_id VARCHAR, file_name VARCHAR, "
        "file_delivered_at TIMESTAMP, file_date DATE, last_day DATE)"
    )
    for reference in contract.references:
        target = contracts[reference.source]
        fields = ", ".join(f"{quoted(name)} {sql_type(spec.type)}" for name, spec in target.columns.items())
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE reference_{reference.name} (_key VARCHAR, {reference.name} STRUCT({fields}))"
        )


def _error(connection: duckdb.DuckDBPyConnection, sql: str, is_condition: bool) -> str | None:
    """What DuckDB has against `sql`, or None; of a condition also that it is neither true nor false."""
    try:
        columns = connection.execute(sql).description or []
    except duckdb.Error as error:
        return why_not_computed(error)
    if len(columns) != 1:
        return f"it gives {len(columns)} columns, not one value"
    kind = str(columns[0][1])
    known = kind == "BOOLEAN" or NUMBER.match(kind) or not is_condition
    return None if known else f"it is {kind}, and a condition is true or false"
