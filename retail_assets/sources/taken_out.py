"""Rows that a person takes out of bronze, with a reason, and can put back.

They lie in quarantine with the status `taken_out:<id>` and all of their values, so that what was done can be undone to
the bit; `retail replay` leaves them there. What was asked for is noted in ops/taken_out before anything is moved, and
once more when it is done: whoever finds the first note without the second finishes the move, which moves no row twice.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from retail_assets.core.errors import RetailError
from retail_assets.core.settings import did_you_mean
from retail_assets.resources.lake import Lake
from retail_assets.sources.config import load_contracts
from retail_assets.sources.contract import COMMON_COLUMNS, Contract
from retail_assets.sources.locks import only_one
from retail_assets.sources.staging import literal, quoted
from retail_assets.sources.state import PUT_BACK, TAKEN_OUT
from retail_assets.sources.tables import (
    INSTANT,
    LOADS,
    append_quarantine,
    append_rows,
    bronze_schema,
    ensure_bronze,
)

TABLE = "taken_out"
NOTES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("action", pa.string()),
        ("state", pa.string()),
        ("where", pa.string()),
        ("reason", pa.string()),
        ("by", pa.string()),
        ("bronze_version", pa.int64()),
        ("rows", pa.int64()),
        ("at", INSTANT),
    ]
)
SHOWN = 3
FaultPoint = Callable[[str], None]
Action = Literal["taken_out", "put_back"]


class QuarantineError(RetailError):
    """Rows that cannot be taken out or put back as it was asked for."""


@dataclass(frozen=True)
class Matched:
    """The rows of bronze that a condition finds: how many, on which days, and a few of them."""

    source: str
    where: str
    bronze_version: int
    rows: int
    days: tuple[date, ...]
    examples: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Move:
    """Rows that were taken out, or put back: under which id, how many, by whom, when and why."""

    id: str
    source: str
    action: Action
    where: str
    reason: str
    by: str
    rows: int
    at: datetime


def matched(lake: Lake, source: str, where: str, config_dir: Path | None = None) -> Matched:
    """What `where`, SQL over the columns of bronze, finds. Raises QuarantineError where it is no such condition.

    First of all it ends the moves that another process began: a command that was killed is given once more only.
    """
    contract = _contract(lake, source, config_dir)
    finish_moves(lake, contract)
    version = lake.open("bronze", source).version()
    found = f"(SELECT * FROM {lake.scan('bronze', source, version)} WHERE ({where}))"
    with lake.connect() as connection:
        try:
            if len(duckdb.extract_statements(f"SELECT 1 WHERE ({where})")) != 1:
                raise QuarantineError(f"{where!r} is more than one condition")
            counted = connection.execute(f"SELECT count(*), list(DISTINCT business_date) FROM {found}").fetchone()
            shown = connection.execute(f"SELECT * FROM {found} ORDER BY file, line LIMIT {SHOWN}").to_arrow_table()
        except duckdb.Error as error:
            columns = [*contract.columns, *COMMON_COLUMNS]
            unknown = str(error).partition('column "')[2].partition('"')[0]
            raise QuarantineError(
                f"{where!r} is no condition for rows of bronze/{source}: {str(error).splitlines()[0]}"
                + (did_you_mean(unknown, columns) if unknown else ""),
                where="--where",
                todo=f"its columns are {', '.join(columns)}",
            ) from error
    rows, days = counted or (0, [])
    return Matched(source, where, version, rows, tuple(sorted(days or ())), tuple(shown.to_pylist()))


def take_out(
    lake: Lake,
    asked: Matched,
    *,
    reason: str,
    by: str,
    config_dir: Path | None = None,
    fault_point: FaultPoint = lambda _: None,
) -> Move:
    """Moves the rows of `asked` to quarantine. Raises QuarantineError where bronze has changed since, or has none."""
    contract = _contract(lake, asked.source, config_dir)
    with only_one(lake, asked.source):
        _finish_begun(lake, contract)
        if lake.open("bronze", asked.source).version() != asked.bronze_version:
            raise QuarantineError(f"bronze/{asked.source} has changed meanwhile", todo="give the command once more")
        if not asked.rows:
            raise QuarantineError(f"no row of bronze/{asked.source} is one where {asked.where}", where="--where")
        note = _note(lake, uuid.uuid4().hex[:8], asked, TAKEN_OUT, reason, by)
        fault_point("noted")
        return _finish(lake, contract, note, fault_point)


def put_back(
    lake: Lake,
    source: str,
    id: str,
    *,
    reason: str,
    by: str,
    config_dir: Path | None = None,
    fault_point: FaultPoint = lambda _: None,
) -> Move:
    """Moves the rows that were taken out under `id` back to bronze, as they were.

    Raises QuarantineError where nothing is out under that id, or where rows of the same keys have come since.
    """
    contract = _contract(lake, source, config_dir)
    with only_one(lake, source):
        _finish_begun(lake, contract)
        rows = _count(lake, _out(lake, source, id))
        if not rows:
            known = ", ".join(move.id for move in moves(lake, source) if move.action == TAKEN_OUT) or "none"
            raise QuarantineError(f"nothing of {source} is out under {id!r}", todo=f"ids of {source}: {known}")
        _refuse_repeated(lake, contract, id)
        asked = Matched(source, "", lake.open("bronze", source).version(), rows, (), ())
        note = _note(lake, id, asked, PUT_BACK, reason, by)
        fault_point("noted")
        return _finish(lake, contract, note, fault_point)


def moves(lake: Lake, source: str | None = None) -> list[Move]:
    """Everything that was taken out or put back, oldest first."""
    if not lake.exists("ops", TABLE):
        return []
    of = "" if source is None else f" AND source = {literal(source)}"
    rows = lake.query(
        f'SELECT id, source, action, "where", reason, "by", rows, "at" FROM {lake.scan("ops", TABLE)} '
        f"WHERE state = 'done'{of} ORDER BY \"at\""
    )
    return [Move(**row) for row in rows.to_pylist()]


def finish_moves(lake: Lake, contract: Contract) -> None:
    """Ends the moves of rows of a source that another process began and did not end."""
    if lake.exists("ops", TABLE):
        with only_one(lake, contract.source):
            _finish_begun(lake, contract)


def _finish_begun(lake: Lake, contract: Contract) -> None:
    if not lake.exists("ops", TABLE):
        return
    rows = lake.query(
        f"SELECT * FROM {lake.scan('ops', TABLE)} WHERE source = {literal(contract.source)} "
        "QUALIFY count(*) FILTER (state = 'done') OVER (PARTITION BY id, action, bronze_version) = 0"
    )
    for note in rows.to_pylist():
        _finish(lake, contract, note, lambda _: None)


def _contract(lake: Lake, source: str, config_dir: Path | None) -> Contract:
    contracts = load_contracts(config_dir)
    if source not in contracts:
        raise QuarantineError(f"{source!r} is no source", todo=f"use one of {', '.join(contracts)}")
    ensure_bronze(lake, contracts)
    return contracts[source]


def _note(lake: Lake, id: str, asked: Matched, action: str, reason: str, by: str) -> dict[str, Any]:
    note: dict[str, Any] = {"id": id, "source": asked.source, "action": action, "state": "begun", "where": asked.where}
    note |= {"reason": reason, "by": by, "bronze_version": asked.bronze_version, "rows": asked.rows}
    lake.ensure("ops", TABLE, NOTES)
    append_rows(lake, TABLE, [note | {"at": datetime.now(UTC)}], NOTES)
    return note


def _finish(lake: Lake, contract: Contract, note: dict[str, Any], fault_point: FaultPoint) -> Move:
    """Every step looks whether it was done already, so that the whole can be done again."""
    if note["action"] == TAKEN_OUT:
        _copy_out(lake, contract, note)
        fault_point("copied")
        _count_moved(lake, note)
        fault_point("counted")
        _delete_from_bronze(lake, note)
    else:
        _copy_back(lake, contract, note)
        fault_point("copied")
        _count_moved(lake, note)
        fault_point("counted")
        lake.open("quarantine", note["source"]).delete(f"status = '{TAKEN_OUT}:{note['id']}'")
    fault_point("deleted")
    done = note | {"state": "done", "at": datetime.now(UTC)}
    append_rows(lake, TABLE, [done], NOTES)
    return Move(**{name: done[name] for name in Move.__dataclass_fields__})


def _copy_out(lake: Lake, contract: Contract, note: dict[str, Any]) -> None:
    source = note["source"]
    if _count(lake, _out(lake, source, note["id"])):
        return
    schema = bronze_schema(contract)
    values = ", ".join(f"{quoted(name)} := CAST({quoted(name)} AS VARCHAR)" for name in schema.names)
    columns = {"raw": f"CAST(to_json(struct_pack({values})) AS VARCHAR)", "status": f"'{TAKEN_OUT}:{note['id']}'"}
    columns["reasons"] = f"[{literal(TAKEN_OUT + ': ' + note['reason'])}]"
    selected = ", ".join(
        f"{columns[name]} AS {name}" if name in columns else name
        for name in ("row_id", "load_id", "file", "line", "raw", "reasons", "delivered_at", "loaded_at")
    )
    sql = (
        f"SELECT {selected}, business_date, {columns['status']} AS status "
        f"FROM {lake.scan('bronze', source, note['bronze_version'])} WHERE ({note['where']})"
    )
    with lake.connect() as connection:
        append_quarantine(lake, source, connection, sql, note["rows"])


def _copy_back(lake: Lake, contract: Contract, note: dict[str, Any]) -> None:
    schema, out = bronze_schema(contract), _out(lake, note["source"], note["id"])
    back = f"SELECT 1 FROM {lake.scan('bronze', note['source'])} AS b WHERE b.row_id = o.row_id"
    with lake.connect() as connection:
        connection.register("typed", schema.empty_table())
        kinds = {name: kind for name, kind, *_ in connection.execute("DESCRIBE typed").fetchall()}
        values = ", ".join(
            f"CAST(json_extract_string(raw, {literal(_path(name))}) AS {kind}) AS {quoted(name)}"
            for name, kind in kinds.items()
        )
        rows = connection.execute(f"SELECT {values} FROM {out} AS o WHERE NOT EXISTS ({back})").to_arrow_table()
    if rows.num_rows:
        lake.append("bronze", note["source"], rows.cast(schema), ["business_date"])


def _path(name: str) -> str:
    return f'$."{name}"'


def _count_moved(lake: Lake, note: dict[str, Any]) -> None:
    """Notes in ops/loads, once, that rows are in the other table now: rows read stay bronze + quarantine + repeated."""
    batch = f"{note['action']}:{note['id']}:{note['bronze_version']}"
    if _count(lake, f"(FROM {lake.scan('ops', 'loads')} WHERE batch_id = {literal(batch)})"):
        return
    rows = note["rows"] if note["action"] == PUT_BACK else -note["rows"]
    now = datetime.now(UTC)
    row: dict[str, Any] = {"load_id": note["id"], "source": note["source"], "feed": note["action"], "file": ""}
    row |= {"sha256": "", "bytes": 0, "mtime_us": 0, "layout": "{}", "rows_read": 0, "rows_duplicate": 0}
    row |= {"rows_bronze": rows, "rows_quarantined": -rows, "business_dates": [], "schema_changes": []}
    row |= {"delivered_at": now, "loaded_at": now}
    append_rows(lake, "loads", [row | {"batch_id": batch, "status": note["action"]}], LOADS)


def _delete_from_bronze(lake: Lake, note: dict[str, Any]) -> None:
    """Writes the touched days anew without the rows, in one commit; other days are not touched."""
    source, out = note["source"], _out(lake, note["source"], note["id"])
    still = f"SELECT DISTINCT business_date FROM {lake.scan('bronze', source)} SEMI JOIN {out} AS o USING (row_id)"
    with lake.connect() as connection:
        days: Sequence[date] = [day for (day,) in connection.execute(still).fetchall()]
        if not days:
            return
        listed = ", ".join(f"DATE '{day}'" for day in days)
        rest = connection.execute(
            f"FROM {lake.scan('bronze', source)} WHERE business_date IN ({listed}) "
            f"AND row_id NOT IN (SELECT row_id FROM {out})"
        )
        lake.overwrite_days("bronze", source, rest.to_arrow_reader(65_536), days)


def _refuse_repeated(lake: Lake, contract: Contract, id: str) -> None:
    keys = contract.key.columns or ("content_hash",)
    if contract.key.repeated == "version":
        return
    same = " AND ".join(
        f"CAST(b.{quoted(key)} AS VARCHAR) IS NOT DISTINCT FROM json_extract_string(o.raw, {literal(_path(key))})"
        for key in (*keys, "business_date")
    )
    out, bronze = _out(lake, contract.source, id), lake.scan("bronze", contract.source)
    found = lake.query(
        "SELECT o.file || ':' || o.line AS place, b.file || ':' || b.line AS now "
        f"FROM {out} AS o JOIN {bronze} AS b ON {same} WHERE b.row_id <> o.row_id LIMIT 1"
    ).to_pylist()
    if found:
        raise QuarantineError(
            f"{found[0]['place']} cannot come back: a row of the same key has come since",
            where=found[0]["now"],
            todo="take that one out first, or leave the old one where it is",
        )


def _out(lake: Lake, source: str, id: str) -> str:
    return f"(FROM {lake.scan('quarantine', source)} WHERE status = {literal(f'{TAKEN_OUT}:{id}')})"


def _count(lake: Lake, relation: str) -> int:
    return int(lake.query(f"SELECT count(*) AS n FROM {relation}")["n"][0].as_py())
