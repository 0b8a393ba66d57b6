"""The SQL that types raw rows, moves times to UTC, finds the business date and says why a row breaks the contract.

One text serves both passes: the first computes only whether a row is good (DuckDB prunes what it does not need), the
second computes the reasons of the rows that are not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import duckdb

from retail_assets.core.number_codes import WHOLE_UNTIL
from retail_assets.core.settings import Location
from retail_assets.sources.contract import IMPLAUSIBLE_DATE, Column, Contract, Expression, Feed, Rule
from retail_assets.sources.names import OF_FILE, own
from retail_assets.sources.raw import Layout
from retail_assets.sources.staging import Own, literal, offered, quoted
from retail_assets.sources.values import (
    clock_change,
    disagreement,
    from_expression,
    from_text,
    from_typed,
    is_surely_text,
    sql_type,
    to_local,
    to_utc,
)

DAY_ENDS = "_day_ends"  # what create_lookups adds to the row of a store
FIELD_OF_ROW = r"\b{name}\.(\w+)"
SEVERAL_ROWS = re.compile("WHERE clause cannot contain|UNNEST not supported")


@dataclass(frozen=True)
class Judge:
    """SQL for the rows of one feed in one layout under one contract (overrides already applied).

    `unusable` maps a column or rule whose SQL names something the files do not have to what DuckDB says about it.
    """

    contract: Contract
    feed: Feed
    layout: Layout
    from_json: bool = False
    unusable: dict[str, str] = field(default_factory=dict)
    guarded: bool = False  # whether rows that have a problem are kept from the SQL of the feed, which may fail on them

    def usable_in(self, connection: duckdb.DuckDBPyConnection, view: str) -> "Judge":
        """This judge, knowing which expressions and rules of the feed cannot be computed over `view`."""
        unusable: dict[str, str] = {}
        trials = self.trials(view)
        for at, name, _ in self.texts():
            try:
                connection.execute(trials[at])
            except duckdb.BinderException as error:
                unusable.setdefault(name, why_not_computed(error))
        return replace(self, unusable=unusable)

    def texts(self) -> Iterator[tuple[Location, str, str]]:
        """The place below its feed, the column or rule, and the SQL of every expression and rule of the feed."""
        for name, given in self.feed.columns.items():
            if isinstance(given, Expression):
                yield ("columns", name, "sql"), name, self._told_apart(given.sql)
        for i, rule in enumerate(self.feed.rules):
            yield ("rules", i, "quarantine_if"), rule.name, self._told_apart(rule.quarantine_if)
            if rule.detail is not None:
                yield ("rules", i, "detail"), rule.name, self._told_apart(rule.detail)

    def trials(self, view: str) -> dict[Location, str]:
        """Per place of `texts` a statement that fails where its SQL cannot be computed over `view`."""
        # References may be joined by expressions too, so each text is tried over what the first step joins.
        columns = frozenset(name for _, name, _ in self.texts())
        source = self._from(view, without=columns)
        # A condition is computed from its own row: what needs others, or makes several, is refused in WHERE.
        return {at: f"SELECT ({sql}) FROM {source} WHERE ({sql}) IS NULL LIMIT 0" for at, _, sql in self.texts()}

    def attempts(self, view: str) -> Iterator[tuple[str, str, str]]:
        """The column or rule, the SQL, and the rows it is computed over, of everything that can fail on a row."""
        source = self._from(view, without=frozenset(name for _, name, _ in self.texts()))
        for name, given in self.feed.columns.items():
            if isinstance(given, Expression) and name not in self.unusable:
                yield name, self._told_apart(given.sql), source
        for rule in self.feed.rules:
            if rule.name not in self.unusable:
                condition, detail = self._told_apart(rule.quarantine_if), self._told_apart(rule.detail or "NULL")
                yield rule.name, f"CASE WHEN ({condition}) THEN ({detail})::VARCHAR END", self._from(view)

    def good_rows(self, view: str) -> str:
        """SELECT of canonical columns, _pos, _file, _line, business_date, delivered_at, content_hash and `_ok`.

        Columns that pass through untouched (see `untouched_columns`) are null: who needs them reads the raw rows.
        """
        columns = ", ".join(quoted(name) for name in self.contract.columns)
        untouched = ", ".join(f"NULL::VARCHAR AS {quoted(name)}" for name in untouched_columns(self.contract))
        return (
            f"SELECT *{f' REPLACE ({untouched})' if untouched else ''} FROM ({self._steps(view)} "
            f"SELECT _pos, _file, _line, {columns}, business_date, delivered_at, content_hash, _clock_change, "
            f"{self._key_hash()} AS _key_hash, {self._ok()} AS _ok FROM dated)"
        )

    def rejected_rows(self, view: str, bad_rows: str) -> str:
        """SELECT of _file, _line, _raw, reasons, business_date, delivered_at of the rows named in `bad_rows`."""
        cases = ", ".join(f"CASE WHEN {bad} THEN {reason} END" for bad, reason in self._violations())
        same = f"v.{Own.FILE} = b._file AND v.{Own.LINE} = b._line"
        return (
            f"{self._steps(f'(SELECT * FROM {view} AS v SEMI JOIN {bad_rows} AS b ON {same})')} "
            f"SELECT _file, _line, _raw, CASE WHEN _problem IS NOT NULL THEN [_problem] "
            f"ELSE list_filter([{cases}], reason -> reason IS NOT NULL) END AS reasons, business_date, delivered_at "
            "FROM dated"
        )

    def missing_columns(self) -> tuple[str, ...]:
        """Required canonical columns for which the layout has no column at all."""
        return tuple(
            name for name, spec in self.contract.columns.items() if spec.required and self._value(name) is None
        )

    def _steps(self, view: str) -> str:
        return f"WITH typed AS NOT MATERIALIZED ({self._typed(view)}), dated AS NOT MATERIALIZED ({self._dated()})"

    # --- first step: values, types, referenced rows -----------------------------------------------------------------

    def _typed(self, view: str) -> str:
        items = [
            f"raw.{Own.POS} AS _pos",
            f"raw.{Own.FILE} AS _file",
            f"raw.{Own.LINE} AS _line",
            f"raw.{Own.RAW} AS _raw",
            self._whole_problem() + " AS _problem",
            self._content_hash() + " AS content_hash",
            f"file.{_own('file_delivered_at')} AS _file_delivered_at",
            f"file.{_own('file_date')} AS file_date",
            f"file.{_own('last_day')} AS _last_day",
        ]
        for name, spec in self.contract.columns.items():
            value = self._value(name)
            typed = "NULL" if value is None else self._cast(name, spec, value)
            items.append(f"CAST({typed} AS {sql_type(spec.type)}) AS {quoted(name)}")
            if value is not None and (spec.type != "text" or not self._is_text(name)):
                items.append(f"CAST(({value}) AS VARCHAR) AS {quoted('_raw_' + name)}")
        for i, rule in enumerate(self.feed.rules):
            usable = rule.name not in self.unusable
            condition, detail = self._told_apart(rule.quarantine_if), self._told_apart(rule.detail or "NULL")
            items.append(
                f"coalesce(({self._kept_from_problems(condition) if usable else 'false'}), false) AS _rule_{i}"
            )
            items.append(f"({self._kept_from_problems(detail) if usable else 'NULL'})::VARCHAR AS _detail_{i}")
        for reference in self.contract.references:
            row = f"_row_{reference.name}"
            items += [
                f"{row}.{Own.KEY} IS NOT NULL AS _known_{reference.name}",
                f"{row}.{self._row_name(reference.name)} AS {reference.name}",
            ]
        return f"SELECT {', '.join(items)} FROM {self._from(view)}"

    def _from(self, view: str, without: frozenset[str] = frozenset()) -> str:
        """Raw rows with their file and the rows they refer to, except by the columns `without`."""
        joins = ""
        for reference in self.contract.references:
            row = f"_row_{reference.name}"
            value = "NULL" if reference.column in without else self._value(reference.column) or "NULL"
            found = (
                f"(SELECT _key AS {Own.KEY}, {reference.name} AS {self._row_name(reference.name)} "
                f"FROM reference_{reference.name})"
            )
            joins += f" LEFT JOIN {found} AS {row} ON {row}.{Own.KEY} = CAST(({value}) AS VARCHAR)"
        return f"{view} AS raw JOIN {self._files()} AS file ON file.{Own.FILE} = raw.{Own.FILE}{joins}"

    def _files(self) -> str:
        """Files under names of our own, and under those that SQL of the feed may use."""
        ours = ", ".join(f"{name} AS {_own(name)}" for name in ("file_delivered_at", "file_date", "last_day"))
        may_use = "".join(f", {name}" for name in offered(OF_FILE, self.layout))
        return f"(SELECT _file AS {Own.FILE}, {ours}{may_use} FROM files)"

    def _row_name(self, reference: str) -> str:
        """What the referenced row is called where a column of the file has its name (`Store`): that one keeps it."""
        return reference if offered([reference], self.layout) else _own(reference)

    def _told_apart(self, sql: str) -> str:
        """`sql` of the feed in which `store.currency` is the referenced row and `store` a column of the file."""
        for reference in self.contract.references:
            field_of_row = rf"(?<![\w.\"]){reference.name}\.(?=\w)"
            sql = re.sub(field_of_row, f"{self._row_name(reference.name)}.", sql)
        return f"{sql}\n" if "--" in sql else sql  # a comment ends with its line

    def _kept_from_problems(self, sql: str) -> str:
        return f"CASE WHEN raw.{Own.PROBLEM} IS NULL THEN ({sql}) END" if self.guarded else sql

    def _content_hash(self) -> str:
        # MD5 costs as much as all casts together; it is worth it only where the hash decides what is the same row.
        hashed = "md5_number_lower" if not self.contract.key.columns else "hash"
        return f"CAST({hashed}(raw.{Own.RAW}) >> 1 AS BIGINT)"

    def _whole_problem(self) -> str:
        missing = [name for name in self.missing_columns() if name not in self.unusable]
        there = ", ".join(self.layout) or "no columns"
        wrong = [f"missing_column: {', '.join(missing)} (the file has {there})"] if missing else []
        wrong += [f"missing_column: {name} cannot be computed ({what})" for name, what in self.unusable.items()]
        problem = f"raw.{Own.PROBLEM}"
        return f"coalesce({problem}, {literal('; '.join(wrong))})" if wrong else problem

    def _value(self, column: str) -> str | None:
        """The SQL of the value as the file gives it, or None where neither the file nor the feed gives one."""
        given = self.feed.columns.get(column)
        if isinstance(given, Expression):
            return None if column in self.unusable else f"({self._kept_from_problems(self._told_apart(given.sql))})"
        present = [name for name in self.feed.names(column) if name in self.layout]
        if present:
            named = [f"raw.{quoted(name)}" for name in present]
            return f"coalesce({', '.join(named)})" if len(named) > 1 else named[0]
        if column in self.feed.constants:
            return literal(self.feed.constants[column])
        if self.from_json and given is not None:
            # A key that is absent from every object of the slice is a null, not a missing column.
            return "NULL::VARCHAR"
        return None

    def _kinds(self, column: str) -> set[str]:
        """The DuckDB types that the files give a column; text where they give none."""
        return {self.layout[name] for name in self.feed.names(column) if name in self.layout} or {"VARCHAR"}

    def _is_text(self, column: str) -> bool:
        """Whether all of a column can be taken over as text; not so a code of which a writer has made floats."""
        computed = isinstance(self.feed.columns.get(column), Expression)
        return not computed and all(map(is_surely_text, self._kinds(column)))

    def _why_no_code(self, column: str) -> str:
        if isinstance(self.feed.columns.get(column), Expression):
            return ", which is no text, or a number that has lost digits"
        lost = self._kinds(column) & set(WHOLE_UNTIL)
        return f", {'a number that has lost digits' if lost else 'which is no text'}: write it as text"

    def _has_no_empty_text(self, column: str) -> bool:
        """Whether the CSV reader has made nulls of empty fields already."""
        return reads_nulls(self.feed) and bool(self.feed.names(column))

    def _cast(self, column: str, spec: Column, value: str) -> str:
        dialect, timestamps = self.feed.dialect, self.feed.timestamps
        if spec.type == "text" and self._has_no_empty_text(column):
            return value
        if isinstance(self.feed.columns.get(column), Expression):
            return from_expression(value, spec.type, dialect, timestamps)
        kinds = self._kinds(column)
        if kinds <= {"VARCHAR"}:
            return f"nullif({value}, '')" if spec.type == "text" else from_text(value, spec.type, dialect, timestamps)
        if len(kinds) > 1:  # several names of a column, of several types: DuckDB finds the one they share
            return from_expression(value, spec.type, dialect, timestamps)
        return from_typed(value, kinds.pop(), spec.type, timestamps)

    # --- second step: UTC, business date, delivery ------------------------------------------------------------------

    def _dated(self) -> str:
        local = self.feed.timestamps == "local"
        times = [name for name, spec in self.contract.columns.items() if spec.type == "timestamp"]
        column = self.contract.business_date.column
        joins, replaced, changes = "", [], ["NULL"]
        zone = "coalesce(store.time_zone, 'UTC')" if self.feed.time_zone == "store" else literal(self.feed.time_zone)
        for name in times if local else [column] if column in times else []:
            joins += (
                f" LEFT JOIN {'local_days' if local else 'utc_days'} AS _day_{name} "
                f"ON _day_{name}.zone = {zone} AND _day_{name}.day = CAST(typed.{quoted(name)} AS DATE)"
            )
            if local:
                replaced.append(f"{to_utc(name, zone)} AS {quoted(name)}")
                changes.insert(0, clock_change(name))
        day = self._business_date(column, column in times, zone)
        replace = f" REPLACE ({', '.join(replaced)})" if replaced else ""
        day_end = f"CAST({day} AS TIMESTAMP) + INTERVAL 1 DAY + {self._day_ends()}"
        delivered = {"business_day_end": f"CAST(timezone({zone}, {day_end}) AS TIMESTAMP)"}.get(
            str(self.feed.delivered_at), "_file_delivered_at"
        )
        return (
            f"SELECT typed.*{replace}, {day} AS business_date, {delivered} AS delivered_at, "
            f"CAST(coalesce({', '.join(changes)}) AS VARCHAR) AS _clock_change FROM typed{joins}"
        )

    def _business_date(self, column: str, is_time: bool, zone: str) -> str:
        if column == "delivered_at":
            return "CAST(_file_delivered_at AS DATE)"
        if not is_time:
            return f"CAST(typed.{quoted(column)} AS DATE)"
        local = f"typed.{quoted(column)}" if self.feed.timestamps == "local" else to_local(column, zone)
        return f"CAST({local} - {self._day_ends()} AS DATE)"

    def _day_ends(self) -> str:
        """How long after midnight the trading day of a row's store ends."""
        stores = next((r.name for r in self.contract.references if r.source == "stores"), None)
        none = "INTERVAL 0 SECOND"
        return f"coalesce({stores}.{DAY_ENDS}, {none})" if stores else none

    # --- third step: the verdict ------------------------------------------------------------------------------------

    def _ok(self) -> str:
        """True for good rows. For a required column one test for null says both `missing` and `not a ...`."""
        required = {name for name, spec in self.contract.columns.items() if spec.required}
        bad = [f"{quoted(name)} IS NULL" for name in self.contract.columns if name in required]
        for name, spec in self.contract.columns.items():
            found = self._column_violations(name, spec)
            bad += [f"coalesce({condition}, false)" for condition, _ in found if not _tests_null(condition, name, spec)]
        bad += [f"coalesce({condition}, false)" for condition, _ in self._row_violations()]
        return f"(_problem IS NULL AND NOT ({' OR '.join(bad)}))" if bad else "(_problem IS NULL)"

    def _violations(self) -> list[tuple[str, str]]:
        """(SQL condition, SQL text of the reason) for everything that can be wrong with a row that could be split."""
        found = [v for name, spec in self.contract.columns.items() for v in self._column_violations(name, spec)]
        return found + self._row_violations()

    def _row_violations(self) -> list[tuple[str, str]]:
        """Violations of the rules of the feed, of references and of the rules of the contract."""
        found = [(f"_rule_{i}", _reason(rule, f"_detail_{i}")) for i, rule in enumerate(self.feed.rules)]
        for reference in self.contract.references:
            column = quoted(reference.column)
            shown = f"'unknown_{reference.column}: {reference.column}=''' || {column} || ''''"
            found.append((f"{column} IS NOT NULL AND NOT _known_{reference.name}", shown))
        found += [(f"({rule.quarantine_if}\n)", _reason(rule, rule.detail)) for rule in self.contract.rules]
        found += self._implausible_date()
        when = self.contract.business_date.column
        if when != "delivered_at" and not self.contract.columns[when].required:
            found.append((f"{quoted(when)} IS NULL", literal(f"missing: {when}, which gives the business date")))
        return found

    def _implausible_date(self) -> list[tuple[str, str]]:
        """The rule of every contract whose business date comes from a column: a wrong one opens days nobody has."""
        when = self.contract.business_date
        if when.column == "delivered_at" or IMPLAUSIBLE_DATE in self.feed.skip_rules:
            return []
        first = literal(str(when.not_before))
        reason = (
            f"'{IMPLAUSIBLE_DATE}: ' || business_date || CASE WHEN business_date > _last_day THEN ' is after ' || "
            f"_last_day || ', {when.days_ahead} days after the delivery' ELSE ' is before ' || {first} END"
        )
        return [(f"business_date > _last_day OR business_date < DATE {first}", reason)]

    def _column_violations(self, name: str, spec: Column) -> list[tuple[str, str]]:
        column, shown = quoted(name), f"'{name}=''' || CAST({quoted(name)} AS VARCHAR) || ''''"
        found: list[tuple[str, str]] = []
        typed = (spec.type != "text" or not self._is_text(name)) and self._value(name) is not None
        if typed:
            raw = quoted("_raw_" + name)
            wrong = f"{column} IS NULL AND {raw} IS NOT NULL" + (f" AND {raw} <> ''" if spec.type == "text" else "")
            article = "an" if spec.type[0] in "aeio" else "a"
            kind = "code" if spec.type == "text" else spec.type.split("(")[0]
            said = f"'not_{article}_{kind}: {name}=''' || {raw} || ''''"
            said += f" || {literal(self._why_no_code(name))}" if spec.type == "text" else ""
            said += f" || {disagreement(raw, self.feed.timestamps)}" if spec.type == "timestamp" else ""
            found.append((wrong, said))
        if spec.required:
            empty = f"{column} IS NULL" + (f" AND {quoted('_raw_' + name)} IS NULL" if typed else "")
            found.append((empty, literal(f"missing: {name}")))
        if spec.between is not None:
            low, high = spec.between
            # Bounds of the column's own type, so that no value has to be widened; one it cannot hold is never passed.
            kind = sql_type(spec.type)
            parts = [f"{column} < TRY_CAST({low} AS {kind})"] if low is not None else []
            parts += [f"{column} > TRY_CAST({high} AS {kind})"] if high is not None else []
            text = f"'out_of_range: ' || {shown} || {literal(f', allowed {low} to {high}')}"
            found.append(("(" + " OR ".join(parts) + ")", text))
        if spec.past and IMPLAUSIBLE_DATE not in self.feed.skip_rules:
            told = f"'{IMPLAUSIBLE_DATE}: ' || {shown} || ' is after ' || _last_day"
            found.append((f"CAST({column} AS DATE) > _last_day", told))
        if spec.allowed is not None:
            listed = ", ".join(literal(value) for value in spec.allowed)
            found.append((f"{column} NOT IN ({listed})", f"'not_allowed: ' || {shown}"))
        if spec.pattern is not None:
            found.append((f"NOT regexp_full_match({column}, {literal(spec.pattern)})", f"'bad_format: ' || {shown}"))
        return found

    def _key_hash(self) -> str:
        key = self.contract.key
        return f"hash({', '.join(quoted(c) for c in key.columns) or 'content_hash'})"


def _own(name: str) -> str:
    return quoted(own(name))


def reads_nulls(feed: Feed) -> bool:
    """Whether the reader of `feed` turns empty fields into nulls."""
    return feed.format == "csv" and feed.derive is None and "" in feed.dialect.nulls


def untouched_columns(contract: Contract) -> tuple[str, ...]:
    """Text columns that every feed takes over from its files as they are."""
    return tuple(
        name
        for name, spec in contract.columns.items()
        if spec.type == "text"
        and all(
            reads_nulls(feed) and name not in feed.constants and not isinstance(feed.columns.get(name), Expression)
            for feed in contract.feeds
        )
    )


def _tests_null(condition: str, name: str, spec: Column) -> bool:
    return spec.required and condition.startswith(f"{quoted(name)} IS NULL")


def fields_used(contract: Contract, name: str) -> tuple[str, ...]:
    """The fields of the referenced row `name` that any rule or expression of `contract` or its feeds reads."""
    texts = [t for r in contract.rules for t in (r.quarantine_if, r.detail or "")]
    for feed in contract.feeds:
        texts += feed.texts
        texts += ["store.time_zone"] if feed.time_zone == "store" else []
    pattern = FIELD_OF_ROW.format(name=re.escape(name))
    return tuple(sorted({field for text in texts for field in re.findall(pattern, text)}))


def _reason(rule: Rule, detail: str | None) -> str:
    return literal(rule.name) if detail is None else f"concat_ws(': ', {literal(rule.name)}, {detail}\n)"


def why_not_computed(error: duckdb.Error) -> str:
    """What DuckDB has against an expression of a feed, in the words of a mapping."""
    said = str(error).splitlines()[0]
    if SEVERAL_ROWS.search(said):
        return "a value is computed from its own row, and this takes or makes several rows: do it in `derive`"
    return said.removeprefix("Binder Error: ").removeprefix("Catalog Error: ")
