"""Reads contracts (configs/sources) and mappings; every mistake in one is named by its file and line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb

from retail_assets.core.settings import Lines, Location, did_you_mean, read_model
from retail_assets.sources.closed import reads_outside
from retail_assets.sources.contract import (
    COMMON_COLUMNS,
    IMPLAUSIBLE_DATE,
    Contract,
    Dialect,
    Expression,
    Feed,
    Mapping,
    Rule,
)
from retail_assets.sources.derived import KINDS
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.judging import FIELD_OF_ROW
from retail_assets.sources.time_formats import format_problems

__all__ = [
    "MAPPINGS_DIR",
    "SOURCES_DIR",
    "Contract",
    "Dialect",
    "Feed",
    "Mapping",
    "load_contracts",
    "load_mapping",
    "read_mapping",
]

KEYS = "correct the line; docs/add-a-source.md lists every key"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
SOURCES_DIR = PROJECT_ROOT / "configs" / "sources"
MAPPINGS_DIR = PROJECT_ROOT / "configs" / "mappings"


def load_contracts(config_dir: Path | None = None) -> dict[str, Contract]:
    """All contracts of `config_dir` by source name, referenced sources before those that refer to them."""
    folder = config_dir or SOURCES_DIR
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise SourceConfigError("there is no source contract", where=str(folder), todo="add <source>.yaml")
    read = {file.stem: read_model(file, Contract, SourceConfigError, KEYS) for file in files}
    contracts = {name: contract for name, (contract, _) in read.items()}
    for name, (contract, lines) in read.items():
        _raise_first(_contract_problems(name, contract, contracts), lines)
    return _in_reference_order(contracts)


def load_mapping(file: Path, contracts: dict[str, Contract]) -> Mapping:
    """The mapping in `file`, checked against `contracts`."""
    return read_mapping(file, contracts)[0]


def read_mapping(file: Path, contracts: dict[str, Contract]) -> tuple[Mapping, Lines]:
    """The mapping in `file`, checked against `contracts`, and the lines of everything in it."""
    mapping, lines = read_model(file, Mapping, SourceConfigError, KEYS)
    _raise_first(_mapping_problems(mapping, contracts), lines)
    return mapping, lines


def _raise_first(problems: Iterator[tuple[Location, str]], lines: Lines) -> None:
    for location, message in problems:
        raise SourceConfigError(message, where=lines.at(location), todo="correct the line")


def _mapping_problems(mapping: Mapping, contracts: dict[str, Contract]) -> Iterator[tuple[Location, str]]:
    for i, feed in enumerate(mapping.feeds):
        if feed.source not in contracts:
            known = did_you_mean(feed.source or "", contracts)
            yield ("feeds", i, "source"), f"feed {feed.name!r} fills {feed.source!r}, which is no source{known}"
            return
        yield from _named_twice(mapping.feeds[:i], feed, ("feeds", i, "name"))
        yield from _feed_problems(("feeds", i), feed, contracts[feed.source])
        first = next(other for other in mapping.feeds if other.source == feed.source)
        if first.key != feed.key:
            yield ("feeds", i), f"feeds {first.name!r} and {feed.name!r} fill {feed.source} under different keys"
        yield from _override_problems(("feeds", i), feed, contracts[feed.source])
        yield from _needs_skipped(("feeds", i), feed, contracts[feed.source])


def _named_twice(before: Sequence[Feed], feed: Feed, at: Location) -> Iterator[tuple[Location, str]]:
    """What was loaded is known by source and feed: of two by one name, the one would be read as the other."""
    if (feed.source, feed.name) in {(other.source, other.name) for other in before}:
        yield at, f"two feeds of {feed.source} are called {feed.name!r}: give each a name of its own"


def _override_problems(at: Location, feed: Feed, contract: Contract) -> Iterator[tuple[Location, str]]:
    """What a feed of a mapping says about the contract it fills: its key, and parts that it switches off."""
    known = {
        "key": contract.columns,
        "skip_references": [reference.column for reference in contract.references],
        "skip_rules": [*(rule.name for rule in contract.rules), IMPLAUSIBLE_DATE],
    }
    said = {
        "key": feed.key.columns if feed.key else (),
        "skip_references": feed.skip_references,
        "skip_rules": feed.skip_rules,
    }
    kind = {"key": "column", "skip_references": "reference", "skip_rules": "rule"}
    for part, names in said.items():
        for name in names:
            if name not in known[part]:
                hint = did_you_mean(name, known[part])
                what = "the key" if part == "key" else part
                yield (*at, part), f"{what} names {name!r}, which is no {kind[part]} of {contract.source}{hint}"


def _needs_skipped(at: Location, feed: Feed, contract: Contract) -> Iterator[tuple[Location, str]]:
    """Rules of the contract that read a row which the feed no longer refers to."""
    rules = contract.for_feed(feed).rules
    for reference in (r for r in contract.references if r.column in feed.skip_references):
        field = re.compile(FIELD_OF_ROW.format(name=reference.name))
        reading = {rule.name: found for rule in rules if (found := field.search(f"{rule.quarantine_if} {rule.detail}"))}
        for name, found in reading.items():
            yield (
                (*at, "skip_references"),
                f"skip_references names {reference.column!r}, and the rule {name!r} reads {found[0]}: "
                f"leave the rule out, too, by `skip_rules: [{', '.join(reading)}]`",
            )


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
        yield from _named_twice(contract.feeds[:i], feed, ("feeds", i, "name"))
        yield from _feed_problems(("feeds", i), feed, contract)


def _feed_problems(at: Location, feed: Feed, contract: Contract) -> Iterator[tuple[Location, str]]:
    for part in ("columns", "constants"):
        for column in getattr(feed, part):
            if column not in contract.columns:
                hint = did_you_mean(column, contract.columns)
                yield (*at, part, column), f"{column!r} is no column of {contract.source}{hint}"
    filled = {*feed.columns, *feed.constants}
    for column, spec in contract.columns.items():
        if spec.required and column not in filled:
            yield (*at, "columns"), f"feed {feed.name!r} does not fill the required column {column!r}"
    yield from format_problems((*at, "dialect"), feed)
    for name, pattern in feed.also.items():
        ending = PurePosixPath(pattern).suffix.lower()
        if ending not in KINDS and not pattern.endswith("*"):
            known = ", ".join(KINDS)
            yield (*at, "also", name), f"{pattern!r} ends in none of {known}, so nobody knows how it is written"
    if feed.time_zone != "store" and not _is_zone(feed.time_zone):
        yield (*at, "time_zone"), f"{feed.time_zone!r} is no time zone"
    if feed.time_zone == "store" and "store" not in {r.name for r in contract.for_feed(feed).references}:
        left_out = next((r.column for r in contract.references if r.name == "store"), None)
        why = f", which skip_references leaves out by {left_out!r}: name a zone" if left_out else ""
        yield (*at, "time_zone"), f"time_zone: store needs a reference to stores `as: store`{why}"
    headings = [name.lower() for name in feed.dialect.header or ()]
    for name in sorted({name for name in headings if headings.count(name) > 1}):
        yield (*at, "dialect", "header"), f"dialect.header names {name!r} twice"
    if "rows" in feed.also:
        yield (*at, "also", "rows"), "`rows` is the file of the feed itself: give the file beside it another name"
    for column, value in feed.columns.items():
        if isinstance(value, Expression):
            yield from _expression_problems((*at, "columns", column, "sql"), value.sql)
    if feed.file_date is not None and not _has_one_group(feed.file_date):
        yield (*at, "file_date"), "file_date is a regular expression with one group, which holds YYYYMMDD"
    yield from _sql_problems((*at, "rules"), feed.rules)
    if feed.derive is not None:
        yield from _derive_problems((*at, "derive"), feed.derive)


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
    # On lines of its own, so that a comment at its end comments nothing else out.
    found = _statements(f"SELECT ({sql}\n)")
    if isinstance(found, str):
        yield at, f"not valid SQL: {sql!r} ({found})"
    elif len(found) != 1:
        yield at, f"more than one SQL statement: {sql!r}"
    # `(a, b)` is valid, as a row of two; after THEN stands one value. A whole SELECT is one only in parentheses.
    elif isinstance(_statements(f"SELECT CASE WHEN true THEN {sql}\nEND"), str) and isinstance(_statements(sql), str):
        yield at, f"more than one value: {sql!r}"
    elif outside := reads_outside(f"SELECT ({sql}\n)"):
        yield at, f"reads {outside}: a value is computed from its own row, and from what it refers to"


def _derive_problems(at: Location, sql: str) -> Iterator[tuple[Location, str]]:
    found = _statements(sql)
    if isinstance(found, str):
        yield at, f"not valid SQL: {sql!r} ({found})"
        return
    # A PIVOT comes with a statement that DuckDB adds, which has no text.
    written = [one for one in found if one.query or one.type != duckdb.StatementType.CREATE]
    if len(written) != 1:
        yield at, f"{'more than one' if written else 'no'} SQL statement: {sql!r}"
    elif written[0].type != duckdb.StatementType.SELECT:
        yield at, f"not a SELECT: {sql!r}"
    elif outside := reads_outside(sql):
        yield at, f"reads {outside}: `derive` sees the file as `rows`, and files beside it that `also` names"


def _statements(sql: str) -> list[duckdb.Statement] | str:
    """The statements in `sql`, or what DuckDB's parser has against it."""
    try:
        return duckdb.extract_statements(sql)
    except duckdb.ParserException as error:
        return str(error).splitlines()[0]


def _in_reference_order(contracts: dict[str, Contract]) -> dict[str, Contract]:
    ordered: dict[str, Contract] = {}
    waiting = dict(sorted(contracts.items()))
    while waiting:
        ready = [n for n, c in waiting.items() if all(r.source in ordered or r.source == n for r in c.references)]
        if not ready:
            raise SourceConfigError(f"the references of {', '.join(waiting)} go in a circle")
        ordered |= {name: waiting.pop(name) for name in ready}
    return ordered
