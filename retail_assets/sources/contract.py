"""What a source promises (its contract) and how its files spell it (its feeds), as frozen objects."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from retail_assets.core.settings import as_written
from retail_assets.sources.names import printed

IMPLAUSIBLE_DATE = "implausible_date"  # a rule of every contract whose business date comes from a column
DELIVERY_YEARS = range(1970, 2200)  # no file is older than its computer; later ones no clock of a library knows
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


Written = Annotated[str, BeforeValidator(as_written)]
"""A text that keeps the form in which a file has it: `store_id: 0123` and `price: 1.50` are no numbers."""


def _below_the_folder(pattern: str) -> str:
    if not PurePosixPath(pattern.strip()).name:
        raise ValueError("names no file: write `sales.csv`, or `sales-*.csv` for one a day")
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise ValueError(f"{pattern!r} is not below the folder that is imported: write the way from there")
    try:
        next(Path("/there/is/no/such/folder").glob(pattern), None)
    except (ValueError, NotImplementedError, IndexError) as error:
        raise ValueError(f"{pattern!r} is no pattern of file names: {str(error).lower()}") from error
    return pattern


Heading = Annotated[str, AfterValidator(printed)]
"""The name of a column in a file, as it reads once what does not print is left out of it."""


def _at_least_one(feeds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not feeds:
        raise ValueError("names no feed: a feed says which files fill which source")
    return feeds


def _separates(delimiter: str) -> str:
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise ValueError(f"must be one sign of ASCII, neither a quote nor the end of a line, not {delimiter!r}")
    return delimiter


def _of_these_times(delivered_at: datetime) -> datetime:
    if delivered_at.year not in DELIVERY_YEARS:
        first, last = DELIVERY_YEARS[0], DELIVERY_YEARS[-1]
        raise ValueError(f"must be in the years {first} to {last}, not {delivered_at:%Y-%m-%d}")
    return delivered_at


DeliveredAt = Annotated[datetime, AfterValidator(_of_these_times)]
Delimiter = Annotated[str, AfterValidator(_separates)]
FilePattern = Annotated[str, AfterValidator(_below_the_folder)]
"""Which files, as a path below the folder that is read: `*` and `?` stand for others, `[[]` for a bracket."""


class Strict(BaseModel):
    """Base of every configuration object: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Strict):
    """One canonical column: its type and what its values may be.

    `identifier` says that nearly every row has another value, so that Parquet does not try a dictionary. `past` is of
    something that has happened: a date later than the business date may be is an `implausible_date`.
    """

    type: TypeName
    identifier: bool = False
    past: bool = False
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
    """How a file spells its values. Time formats are strptime's; without one ISO 8601 is expected.

    `skip_lines` is how many lines of title stand above the header, or `header_row` is the number of the header's line;
    empty ones and Excel's `sep=;` are no header anyway. `header` names the columns of CSV files that have no header.
    """

    delimiter: Delimiter = ","
    decimal: Literal[".", ","] = "."
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    date: str | None = None
    timestamp: str | None = None
    nulls: tuple[str, ...] = ("",)
    ends_with_newline: bool = True
    skip_lines: Annotated[int, Field(ge=0, le=1_000)] = 0
    header_row: Annotated[int, Field(ge=1, le=1_001)] | None = None
    header: Annotated[tuple[Heading, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_word_for_the_header(self) -> "Dialect":
        if self.header_row is not None and (self.skip_lines or self.header is not None):
            other = "skip_lines" if self.skip_lines else "header"
            raise ValueError(f"`header_row` and `{other}` say where the header is, each in its way: keep one of them")
        return self

    @property
    def lines_above(self) -> int:
        """How many lines of title stand above the header."""
        return self.skip_lines if self.header_row is None else self.header_row - 1


class Expression(Strict):
    """A canonical value computed by SQL over the columns of the file (`_line` is its record number)."""

    sql: str


class Feed(Strict):
    """One family of files of a source: where they lie, how they are written, which column is which.

    `columns` gives per canonical column the name in the file, a list of names (the first is expected, the others are
    accepted and reported as renamed), or an Expression. `constants` fills columns the files do not have. `not_before`
    is for archives that are older than the contract expects. `derive` is SQL over the whole file as `rows`, with the
    files named in `also` beside it; it sees CSV columns as they are written, or without `text` as DuckDB guesses them.
    """

    name: Name
    files: FilePattern
    format: Literal["csv", "jsonl", "json", "parquet"]
    source: Name | None = None
    dialect: Dialect = Dialect()
    timestamps: Literal["local", "utc", "offset"] = "utc"
    time_zone: str = "UTC"
    delivered_at: Literal["file_name", "file_time", "business_day_end"] | DeliveredAt = "file_name"
    file_date: str | None = None
    columns: dict[Name, Heading | Annotated[tuple[Heading, ...], Field(min_length=1)] | Expression]
    constants: dict[Name, Written] = {}
    ignored: tuple[Heading, ...] = ()
    rules: tuple[Rule, ...] = ()
    derive: str | None = None
    text: bool = True
    also: dict[Name, FilePattern] = {}
    key: Key | None = None
    skip_references: tuple[Name, ...] = ()
    skip_rules: tuple[Name, ...] = ()
    not_before: date | None = None
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
        return (*self.expressions, *([self.derive] if self.derive else []))

    @property
    def expressions(self) -> tuple[str, ...]:
        """Every SQL text of this feed over single rows."""
        found = [value.sql for value in self.columns.values() if isinstance(value, Expression)]
        found += [text for rule in self.rules for text in (rule.quarantine_if, rule.detail) if text]
        return tuple(found)

    def reads(self, name: str) -> bool:
        """Whether a column or a SQL text of this feed may mean the column `name` of a file."""
        return any(name in self.names(column) for column in self.columns) or named(name, self.texts)

    def knows(self, name: str) -> bool:
        """Whether this feed reads or ignores a column `name`, in whatever case; one that names none knows all."""
        known = {one.lower() for column in self.columns for one in self.names(column)}
        return not known or name.lower() in known | {other.lower() for other in self.ignored} or self.reads(name)


def named(name: str, texts: Iterable[str]) -> bool:
    """Whether one of some SQL texts has `name` as a word, whatever it means there."""
    words = {name, name.replace('"', '""')}  # inside a quoted identifier a quote is doubled
    found = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), re.IGNORECASE)
    return any(map(found.search, texts))


class BusinessDate(Strict):
    """The column whose local date is the row's business date (`delivered_at` for slowly changing things).

    A date before `not_before`, or more than `days_ahead` days after the delivery, is an `implausible_date`. A newest
    day of a store waits in bronze while it has less than `least_share` of the rows of a usual one (held_days.py).
    """

    column: Name = Field(alias="from")
    not_before: date = date(1990, 1, 1)
    days_ahead: Annotated[int, Field(ge=0, le=36_500)] = 2
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.1


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
        first = feed.not_before or self.business_date.not_before
        return self.model_copy(
            update={
                "business_date": self.business_date.model_copy(update={"not_before": first}),
                "references": tuple(r for r in self.references if r.column not in feed.skip_references),
                "rules": tuple(r for r in self.rules if r.name not in feed.skip_rules),
            }
        )


class SkippedFiles(Strict):
    """Files of a retailer that have no canonical home, and why."""

    files: FilePattern
    reason: str


class Mapping(Strict):
    """A real retailer's layout: its feeds and what is left out on purpose."""

    mapping: Name
    description: str
    feeds: Annotated[tuple[Feed, ...], AfterValidator(_at_least_one)]
    skipped: tuple[SkippedFiles, ...] = ()
