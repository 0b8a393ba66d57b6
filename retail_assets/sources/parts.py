"""A part: up to about a million judged rows in DuckDB, settled against bronze and written in two appends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.resources.lake import Lake
from retail_assets.sources.closed import in_time
from retail_assets.sources.contract import Contract
from retail_assets.sources.discover import last_instant
from retail_assets.sources.duplicates import Keys
from retail_assets.sources.errors import SourceConfigError
from retail_assets.sources.failing import OF_A_VALUE, refuse_failing
from retail_assets.sources.judging import Judge, untouched_columns
from retail_assets.sources.lookups import create_lookups
from retail_assets.sources.names import POS
from retail_assets.sources.raw import RawFile, Slice
from retail_assets.sources.staging import Own, quoted, release, stage
from retail_assets.sources.tables import append_bronze, append_quarantine

START = """
    DROP TABLE IF EXISTS part;
    CREATE OR REPLACE TEMP TABLE rejected (
        _file INTEGER, _line INTEGER, _raw VARCHAR, reasons VARCHAR[], business_date DATE, delivered_at TIMESTAMP)
"""
ALL_GOOD = "part WHERE _ok"
GOOD_ONCE = "part ANTI JOIN repeats USING (_file, _line) WHERE _ok"


@dataclass
class Tally:
    """What happened to the rows of one file. `clock_changes` counts times that are `skipped` or come `twice`."""

    read: int = 0
    bronze: int = 0
    quarantined: int = 0
    duplicate: int = 0
    days: set[date] = field(default_factory=set)
    clock_changes: Counter[str] = field(default_factory=Counter)

    def adds_up(self) -> bool:
        """Whether every row that was read is accounted for."""
        return self.read == self.bronze + self.quarantined + self.duplicate


class Part:
    """Judges slices of one source on one connection, which `closed_lake` gives; `start` begins the next part."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract) -> None:
        self._connection, self._lake, self._contract = connection, lake, contract
        create_lookups(connection, lake, contract)
        self._keys = Keys(connection, lake, contract)
        self._views: list[str] = []
        self._pieces: list[Slice] = []
        self._files: list[RawFile] = []
        self._good = ALL_GOOD
        self.rows = self.bytes = 0

    def register(self, files: Sequence[RawFile]) -> None:
        """Makes `files`, whose indices follow each other, known under their index."""
        self._files = list(files)
        table = pa.table(
            {
                "_file": pa.array([f.index for f in files], pa.int32()),
                "load_id": pa.array([f.load_id for f in files], pa.string()),
                "file_name": pa.array([f.name for f in files], pa.string()),
                "file_delivered_at": pa.array([f.delivered_at.replace(tzinfo=None) for f in files], pa.timestamp("us")),
                "file_date": pa.array([f.file_date for f in files], pa.date32()),
                "last_day": pa.array([self._last_day(f) for f in files], pa.date32()),
            }
        )
        self._connection.register("files_arrow", table)
        self._connection.execute("CREATE OR REPLACE TEMP TABLE files AS SELECT * FROM files_arrow")
        self._connection.unregister("files_arrow")

    def _last_day(self, file: RawFile) -> date:
        """The last plausible business date of a row of `file`."""
        known = last_instant(replace(file, delivered_at=file.delivered_at.replace(tzinfo=UTC)), datetime.now(UTC))
        ahead = self._contract.business_date.days_ahead
        return known.date() + timedelta(days=min(ahead, (date.max - known.date()).days))

    def start(self) -> None:
        """Forgets the rows of the part before."""
        for view in self._views:
            release(self._connection, view)
        self._views, self._pieces, self.rows, self.bytes = [], [], 0, 0
        self._connection.execute(START)

    def add(self, piece: Slice) -> Slice:
        """Judges `piece`; returns it with the layout of each of its files."""
        view = f"raw_{len(self._views)}"
        texts = frozenset(name for name, spec in self._contract.columns.items() if spec.type == "text")
        piece = stage(self._connection, self._numbered(piece), view, texts)
        judge = Judge(self._contract.for_feed(piece.feed), piece.feed, piece.layout, piece.parse_json)
        try:
            with in_time(self._connection, f"the SQL of feed {piece.feed.name!r}", self._names(piece)):
                self._judge_or_refuse(judge.usable_in(self._connection, view), view, piece)
        except duckdb.Error as error:
            raise SourceConfigError(
                f"the SQL of feed {piece.feed.name!r} failed: {str(error).splitlines()[0]}",
                where=self._names(piece),
                todo="correct the expression in the mapping; TRY_CAST lets a bad value become a reason",
            ) from error
        self._views.append(view)
        self._pieces.append(piece)
        self.rows += piece.rows.num_rows
        self.bytes += piece.rows.nbytes
        return piece

    def _names(self, piece: Slice) -> str:
        """The files of `piece`, for people."""
        return ", ".join(file.name for file in self._files if file.index in piece.read)[:500]

    def _judge_or_refuse(self, judge: Judge, view: str, piece: Slice) -> None:
        """Judges `piece`; where the feed's SQL fails on some of its rows, those are refused."""
        try:
            self._judge(judge, view, piece)
        except OF_A_VALUE:
            if self._views:
                self._connection.execute(f"DELETE FROM part WHERE _pos >= {self.rows}")
            else:
                self._connection.execute("DROP TABLE IF EXISTS part")
            positions = range(self.rows, self.rows + piece.rows.num_rows)
            found = refuse_failing(self._connection, judge, view, positions)
            if found is None:
                raise
            self._judge(*found, piece)
            self._connection.execute(f"DROP VIEW {found[1]}; DROP TABLE failing")

    def _judge(self, judge: Judge, view: str, piece: Slice) -> None:
        into = "INSERT INTO part" if self._views else "CREATE TEMP TABLE part AS"
        self._connection.execute(f"{into} {judge.good_rows(view)}")
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE bad_rows AS "
            f"SELECT _file, _line FROM part WHERE NOT _ok AND _file IN ({', '.join(map(str, piece.read))})"
        )
        if self.count("bad_rows"):
            self._connection.execute(f"INSERT INTO rejected {judge.rejected_rows(view, 'bad_rows')}")

    def _numbered(self, piece: Slice) -> Slice:
        positions = np.arange(self.rows, self.rows + piece.rows.num_rows, dtype=np.int32)
        return replace(piece, rows=piece.rows.append_column(POS, pa.array(positions)))

    def settle(self) -> None:
        """Tells good rows from repeated ones; a repeated key with other content is rejected."""
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW full_part AS {self._full_part()}")
        self._good = GOOD_ONCE if self._keys.find_repeats() else ALL_GOOD
        if self._good == ALL_GOOD:
            return
        ours = f"{Own.FILE} AS _file, {Own.LINE} AS _line, {Own.RAW} AS _raw"
        raw = " UNION ALL ".join(f"SELECT {ours} FROM {view}" for view in self._views)
        self._connection.execute(
            "INSERT INTO rejected SELECT _file, _line, _raw, "
            "['key_conflict: same key as row ' || other || ' with other content'], part.business_date, "
            f"part.delivered_at FROM repeats JOIN part USING (_file, _line) JOIN ({raw}) USING (_file, _line) "
            "WHERE NOT same"
        )

    def tally(self, tallies: dict[int, Tally]) -> None:
        """Adds what happened to the rows of this part to the tallies of their files."""
        run = self._connection.execute
        for file, rows, days in run(
            f"SELECT _file, count(*), list(DISTINCT business_date) FROM {self._good} GROUP BY 1"
        ).fetchall():
            tallies[file].bronze += rows
            tallies[file].days |= set(days)
        changed = (
            f"SELECT _file, _clock_change, count(*) FROM (FROM {self._good}) WHERE _clock_change <> '' GROUP BY ALL"
        )
        for file, change, rows in run(changed).fetchall():
            tallies[file].clock_changes[change] += rows
        for file, rows in run("SELECT _file, count(*) FROM rejected GROUP BY 1").fetchall():
            tallies[file].quarantined += rows
        for file, rows in run("SELECT _file, count(*) FROM repeats WHERE same GROUP BY 1").fetchall():
            tallies[file].duplicate += rows

    def reasons(self) -> Counter[str]:
        """How many rejected rows have each reason."""
        found = "SELECT split_part(r, ':', 1), count(*) FROM (SELECT unnest(reasons) AS r FROM rejected) GROUP BY 1"
        return Counter(dict(self._connection.execute(found).fetchall()))

    def write_quarantine(self, at: datetime) -> None:
        """Appends the rejected rows as they came, with their reasons."""
        sql = (
            "SELECT load_id || ':' || _line AS row_id, load_id, file_name AS file, _line AS line, "
            "rtrim(_raw, chr(10) || chr(13)) AS raw, reasons, "
            f"coalesce(delivered_at, file_delivered_at) AS delivered_at, {_instant(at)} AS loaded_at, "
            "coalesce(business_date, CAST(file_delivered_at AS DATE)) AS business_date, 'open' AS status "
            "FROM rejected JOIN files USING (_file) ORDER BY _file, _line"
        )
        if rows := self.count("rejected"):
            append_quarantine(self._lake, self._contract.source, self._connection, sql, rows)

    def write_bronze(self, at: datetime) -> None:
        """Appends the good rows that repeat no key."""
        untouched = untouched_columns(self._contract)
        columns = "".join(f", {quoted(name)}" for name in self._contract.columns if name not in untouched)
        sql = (
            f"SELECT _pos, _file, _line AS line{columns}, content_hash, delivered_at, {_instant(at)} AS loaded_at, "
            f"business_date FROM {self._good}"
        )
        if rows := self.count(self._good):
            texts = {name: self._text(name) for name in untouched}
            append_bronze(self._lake, self._contract, self._connection, sql, rows, self._files, texts)
        days = self._connection.execute(f"SELECT DISTINCT business_date FROM {ALL_GOOD}").fetchall()
        self._keys.remember((day for (day,) in days), self._good)

    def _text(self, column: str) -> pa.ChunkedArray:
        """An untouched column of all rows of the part, by position, as the files have it."""
        chunks: list[pa.Array] = []
        for piece in self._pieces:
            found = [piece.rows[name] for name in piece.feed.names(column) if name in piece.layout]
            values = pc.coalesce(*found) if len(found) > 1 else found[0] if found else None
            chunks += [pa.nulls(piece.rows.num_rows, pa.string())] if values is None else values.chunks
        return pa.chunked_array(chunks, pa.string())

    def _full_part(self) -> str:
        """The rows of `part` with the untouched columns that it leaves out."""
        selects, untouched = [], untouched_columns(self._contract)
        for view, piece in zip(self._views, self._pieces, strict=True):
            replaced = []
            for column in untouched:
                found = [f"raw.{quoted(name)}" for name in piece.feed.names(column) if name in piece.layout]
                value = f"coalesce({', '.join(found)})" if found else "NULL::VARCHAR"
                replaced.append(f"{value} AS {quoted(column)}")
            columns = f"part.* REPLACE ({', '.join(replaced)})" if replaced else "part.*"
            selects.append(f"SELECT {columns} FROM part JOIN {view} AS raw ON raw.{Own.POS} = part._pos")
        return " UNION ALL ".join(selects)

    def count(self, relation: str) -> int:
        """Rows of a relation of this part."""
        return int(self._connection.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0])


def _instant(at: datetime) -> str:
    return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S.%f}'"
