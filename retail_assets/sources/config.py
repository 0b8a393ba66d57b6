"""What a source promises (its contract) and how its files spell it (its feeds)."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from retail_assets.sources.yaml_files import Lines, Location, SourceConfigError, read_model

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SOURCES_DIR = PROJECT_ROOT / "configs" / "sources"
MAPPINGS_DIR = PROJECT_ROOT / "configs" / "mappings"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
TypeName = Annotated[
    str, StringConstraints(pattern=r"^(text|integer|bigint|double|boolean|date|timestamp|decimal\(\d+,\d+\))$")
]
COMMON_COLUMNS = (
    "row_id",
    "load_id",
    "file",
    "line",
    "content_hash",
    "delivered_at",
    "loaded_at",
    "business_date",
)


class Strict(BaseModel):
    """Base of every configuration object: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Strict):
    """One canonical column: its type and what its values may be.

    `identifier` says that nearly every row has another value, so that Parquet does not try a dictionary.
    """

    type: TypeName
    identifier: bool = False
    required: bool = False
    between: tuple[float | None, float | None] | None = None
    allowed: tuple[str, ...] | None = None
    pattern: str | None = None
    description: str | None = None


class Reference(Strict):
    """`column` must occur in `to` (`source.column`); rules read the row found under the name `as`."""

    column: Name
    to: Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$")]
    name: Name = Field(alias="as")

    @property
    def source(self) -> str:
        """The source that is referred to."""
        return self.to.split(".")[0]

    @property
    def target(self) -> str:
        """The column of that source."""
        return self.to.split(".")[1]


class Rule(Strict):
    """Rows for which the SQL condition `quarantine_if` is true go to quarantine with the reason `name`.

    Rules of a contract see canonical columns, `business_date`, `delivered_at`, `file_date` and referenced rows; rules
    of a feed see the columns of the file. `detail` is a SQL text expression that is put behind the reason.
    """

    name: Name
    quarantine_if: str
    detail: str | None = None
    why: str | None = None


class Key(Strict):
    """What makes two rows the same row.

    `columns` empty means the whole row as it came. `within: business_date` says equal keys always share their day
    (so only touched days are searched). A repeated key with other content is a `conflict` (quarantined) or a new
    `version` (kept) of the thing.
    """

    columns: tuple[Name, ...] = ()
    within: Literal["business_date", "table"] = "business_date"
    repeated: Literal["conflict", "version"] = "conflict"


class Dialect(Strict):
    """How a file spells its values. Time formats are strptime's; without one ISO 8601 is expected."""

    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    decimal: Literal[".", ","] = "."
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    date: str | None = None
    timestamp: str | None = None
    nulls: tuple[str, ...] = ("",)
    ends_with_newline: bool = True


class Expression(Strict):
    """A canonical value computed by SQL over the columns of the file (`_line` is its record number)."""

    sql: str


class Feed(Strict):
    """One family of files of a source: where they lie, how they are written, which column is which.

    `columns` gives per canonical column the name in the file, a list of names (the first is expected, the others are
    accepted and reported as renamed), or an Expression. `constants` fills columns the files do not have.
    """

    name: Name
    files: str
    format: Literal["csv", "jsonl", "json", "parquet"]
    source: Name | None = None
    dialect: Dialect = Dialect()
    timestamps: Literal["local", "utc", "offset"] = "utc"
    time_zone: str = "UTC"
    delivered_at: Literal["file_name", "file_time", "business_day_end"] | datetime = "file_name"
    file_date: str | None = None
    columns: dict[Name, str | tuple[str, ...] | Expression]
    constants: dict[Name, str | int | float] = {}
    ignored: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    derive: str | None = None
    key: Key | None = None
    skip_references: tuple[Name, ...] = ()
    skip_rules: tuple[Name, ...] = ()
    description: str | None = None

    def names(self, column: str) -> tuple[str, ...]:
        """The names `column` may have in a file, the expected one first; empty for expressions and constants."""
        named = self.columns.get(column)
        if named is None or isinstance(named, Expression):
            return ()
        return (named,) if isinstance(named, str) else named

    @property
    def texts(self) -> tuple[str, ...]:
        """Every SQL text of this feed."""
        found = [value.sql for value in self.columns.values() if isinstance(value, Expression)]
        found += [text for rule in self.rules for text in (rule.quarantine_if, rule.detail) if text]
        return (*found, *([self.derive] if self.derive else []))

    def reads(self, name: str) -> bool:
        """Whether a column or a SQL text of this feed may mean the column `name` of a file."""
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
        return any(name in self.names(column) for column in self.columns) or any(map(word.search, self.texts))


class BusinessDate(Strict):
    """The column whose local date is the row's business date (`delivered_at` for slowly changing things)."""

    column: Name = Field(alias="from")


class Contract(Strict):
    """The canonical contract of one source: table name, columns, keys, references and rules."""

    source: Name
    description: str
    grain: str
    owner: str = "data-platform"
    fresh_within_hours: float | None = None
    columns: dict[Name, Column]
    key: Key
    business_date: BusinessDate
    references: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = ()
    feeds: tuple[Feed, ...] = ()

    def for_feed(self, feed: Feed) -> "Contract":
        """This contract with the overrides of `feed` applied."""
        return self.model_copy(
            update={
                "references": tuple(r for r in self.references if r.column not in feed.skip_references),
                "rules": tuple(r for r in self.rules if r.name not in feed.skip_rules),
            }
        )


class SkippedFiles(Strict):
    """Files of a retailer that have no canonical home, and why."""

    files: str
    reason: str


class Mapping(Strict):
    """A real retailer's layout: its feeds and what is left out on purpose."""

    mapping: Name
    description: str
    feeds: tuple[Feed, ...]
    skipped: tuple[SkippedFiles, ...] = ()


def load_contracts(config_dir: Path | None = None) -> dict[str, Contract]:
    """All contracts of `config_dir` by source name, referenced sources before those that refer to them."""
    folder = config_dir or SOURCES_DIR
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise SourceConfigError("there is no source contract", where=str(folder), todo="add <source>.yaml")
    read = {file.stem: read_model(file, Contract) for file in files}
    contracts = {name: contract for name, (contract, _) in read.items()}
    for name, (contract, lines) in read.items():
        _raise_first(_contract_problems(name, contract, contracts), lines)
    return _in_reference_order(contracts)


def load_mapping(file: Path, contracts: dict[str, Contract]) -> Mapping:
    """The mapping in `file`, checked against `contracts`."""
    mapping, lines = read_model(file, Mapping)
    _raise_first(_mapping_problems(mapping, contracts), lines)
    return mapping


def _raise_first(problems: Iterator[tuple[Location, str]], lines: Lines) -> None:
    for location, message in problems:
        raise SourceConfigError(message, where=lines.at(location), todo="correct the line")


def _mapping_problems(mapping: Mapping, contracts: dict[str, Contract]) -> Iterator[tuple[Location, str]]:
    for i, feed in enumerate(mapping.feeds):
        if feed.source not in contracts:
            yield ("feeds", i, "source"), f"feed {feed.name!r} fills {feed.source!r}, which is no source"
            return
        yield from _feed_problems(("feeds", i), feed, contracts[feed.source])
        first = next(other for other in mapping.feeds if other.source == feed.source)
        if first.key != feed.key:
            yield ("feeds", i), f"feeds {first.name!r} and {feed.name!r} fill {feed.source} under different keys"
        for column in (feed.key or first.key or contracts[feed.source].key).columns:
            if column not in contracts[feed.source].columns:
                yield ("feeds", i, "key"), f"the key names {column!r}, which is no column of {feed.source}"


def _contract_problems(stem: str, contract: Contract, contracts: dict[str, Contract]) -> Iterator[tuple[Location, str]]:
    if contract.source != stem:
        yield ("source",), f"source {contract.source!r} is in a file named {stem}.yaml"
    for column in contract.columns:
        if column in COMMON_COLUMNS:
            yield ("columns", column), f"{column!r} is a column every bronze table has already"
    for column in contract.key.columns:
        if column not in contract.columns:
            yield ("key", "columns"), f"the key names {column!r}, which is no column"
    if contract.business_date.column not in {*contract.columns, "delivered_at"}:
        yield ("business_date", "from"), f"{contract.business_date.column!r} is no column"
    for i, reference in enumerate(contract.references):
        target = contracts.get(reference.source)
        if reference.column not in contract.columns or target is None or reference.target not in target.columns:
            yield ("references", i), f"the reference {reference.column} -> {reference.to} names something unknown"
    yield from _sql_problems(("rules",), contract.rules)
    for i, feed in enumerate(contract.feeds):
        yield from _feed_problems(("feeds", i), feed, contract)


def _feed_problems(at: Location, feed: Feed, contract: Contract) -> Iterator[tuple[Location, str]]:
    for part in ("columns", "constants"):
        for column in getattr(feed, part):
            if column not in contract.columns:
                yield (*at, part, column), f"{column!r} is no column of {contract.source}"
    filled = {*feed.columns, *feed.constants}
    for column, spec in contract.columns.items():
        if spec.required and column not in filled:
            yield (*at, "columns"), f"feed {feed.name!r} does not fill the required column {column!r}"
    if feed.time_zone != "store" and not _is_zone(feed.time_zone):
        yield (*at, "time_zone"), f"{feed.time_zone!r} is no time zone"
    if feed.time_zone == "store" and "store" not in {r.name for r in contract.for_feed(feed).references}:
        yield (*at, "time_zone"), "time_zone: store needs a reference to stores `as: store`"
    for column, value in feed.columns.items():
        if isinstance(value, Expression):
            yield from _expression_problems((*at, "columns", column, "sql"), value.sql)
    if feed.file_date is not None and not _has_one_group(feed.file_date):
        yield (*at, "file_date"), "file_date is a regular expression with one group, which holds YYYYMMDD"
    yield from _sql_problems((*at, "rules"), feed.rules)
    if feed.derive is not None:
        yield from _expression_problems((*at, "derive"), f"FROM ({feed.derive})")


def _is_zone(name: str) -> bool:
    try:
        return ZoneInfo(name).key == name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _has_one_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups == 1
    except re.error:
        return False


def _sql_problems(at: Location, rules: tuple[Rule, ...]) -> Iterator[tuple[Location, str]]:
    for i, rule in enumerate(rules):
        yield from _expression_problems((*at, i, "quarantine_if"), rule.quarantine_if)
        if rule.detail is not None:
            yield from _expression_problems((*at, i, "detail"), rule.detail)


def _expression_problems(at: Location, sql: str) -> Iterator[tuple[Location, str]]:
    try:
        count = len(duckdb.extract_statements(f"SELECT ({sql})"))
    except duckdb.ParserException as error:
        yield at, f"not valid SQL: {sql!r} ({str(error).splitlines()[0]})"
    else:
        if count != 1:
            yield at, f"more than one SQL statement: {sql!r}"


def _in_reference_order(contracts: dict[str, Contract]) -> dict[str, Contract]:
    ordered: dict[str, Contract] = {}
    waiting = dict(sorted(contracts.items()))
    while waiting:
        ready = [n for n, c in waiting.items() if all(r.source in ordered or r.source == n for r in c.references)]
        if not ready:
            raise SourceConfigError(f"the references of {', '.join(waiting)} go in a circle")
        ordered |= {name: waiting.pop(name) for name in ready}
    return ordered
