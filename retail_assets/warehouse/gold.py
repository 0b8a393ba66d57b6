"""How the rows of a mart get from DuckDB into its gold Delta table: an Arrow stream, a bounded number of rows at once.

A Delta writer keeps buffers for every partition it has seen: 400 days of 50 columns are three gigabytes, and rows are
sorted before they are written. A whole mart is therefore written in several commits; each day is complete in each.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from retail_assets.resources import duck
from retail_assets.resources.environments import Home
from retail_assets.resources.lake import Lake

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)
BATCH_ROWS = 65_536
DAYS_AT_ONCE, ROWS_AT_ONCE = 100, 1_500_000
KEYS = ("business_date", "store_id", "sku", "receipt_id", "session_id", "payment_id", "customer_id")


def open_warehouse(home: Home) -> "duckdb.DuckDBPyConnection":
    """The private DuckDB file, to read; nobody may build meanwhile."""
    return duck.connect(home.warehouse, read_only=True, memory_limit="2GB")


class GoldTable:
    """One mart on its way from `connection` to `gold/<mart>`. `metadata` goes into each commit."""

    def __init__(
        self,
        lake: Lake,
        connection: "duckdb.DuckDBPyConnection",
        mart: str,
        columns: Mapping[str, str],
        metadata: dict[str, str],
    ) -> None:
        self.lake, self.connection, self.mart = lake, connection, mart
        self.columns, self.metadata = columns, metadata

    def write_table(self, partition_by: Sequence[str] = ()) -> int:
        """Replaces the whole table in one commit; returns the rows written."""
        self.lake.overwrite("gold", self.mart, self._stream("TRUE"), partition_by, self.metadata)
        return self._count("TRUE")

    def write_all_days(self) -> int:
        """Replaces every day, and empties days that the mart no longer has; returns the rows written."""
        built = self._built_days()
        if not built or not self._fits():
            return self.write_table(["business_date"])
        rows = dict.fromkeys(self._published_days(), 0) | built
        return sum(self.write_days(days) for days in chunks(rows))

    def is_published(self) -> bool:
        """Whether gold holds exactly these rows, whatever their order; false where its files cannot be read.

        What is in gold is asked of gold: the record of what was published lies in scratch, and may have been deleted.
        """
        import duckdb

        if not self.lake.exists("gold", self.mart) or not self._fits():
            return False
        names = ", ".join(self.columns)
        sql = f"SELECT count(*), bit_xor(hash({names})), sum(hash({names})) FROM"
        built = self.connection.execute(f"{sql} (SELECT {self._select()} FROM marts.{self.mart})").fetchone()
        try:
            with self.lake.connect() as connection:
                return connection.execute(f"{sql} {self.lake.scan('gold', self.mart)}").fetchone() == built
        except duckdb.Error as error:
            logger.warning("gold/%s cannot be read and is written anew: %s", self.mart, str(error).splitlines()[0])
            return False

    def write_days(self, days: Sequence[date]) -> int:
        """Replaces these days in one commit; returns the rows written."""
        where = f"business_date IN ({', '.join(f'DATE {day.isoformat()!r}' for day in days)})"
        self.lake.overwrite_days("gold", self.mart, self._stream(where), days, self.metadata)
        return self._count(where)

    def digest(self) -> str:
        """Stands for the rows, whatever their order."""
        found = self.connection.execute(f"SELECT count(*), bit_xor(hash(m)), sum(hash(m)) FROM marts.{self.mart} AS m")
        return "-".join(str(part) for part in found.fetchone() or ())

    def _stream(self, where: str) -> pa.RecordBatchReader:
        keys = [key for key in KEYS if key in self.columns] or list(self.columns)[:3]
        sql = f"SELECT {self._select()} FROM marts.{self.mart} WHERE {where} ORDER BY {', '.join(keys)}"
        return self.connection.execute(sql).to_arrow_reader(BATCH_ROWS)

    def _select(self) -> str:
        """Instants leave as instants (UTC): a Delta timestamp without a zone is a feature that few readers know."""
        return ", ".join(
            f"{name}::TIMESTAMPTZ AS {name}" if kind == "timestamp" else name for name, kind in self.columns.items()
        )

    def _count(self, where: str) -> int:
        found: Any = self.connection.execute(f"SELECT count(*) FROM marts.{self.mart} WHERE {where}").fetchone()
        return int(found[0])

    def _built_days(self) -> dict[date, int]:
        """Rows of each day."""
        sql = f"SELECT business_date, count(*) FROM marts.{self.mart} GROUP BY business_date"
        return dict(self.connection.execute(sql).fetchall())

    def _published_days(self) -> set[date]:
        if not self.lake.exists("gold", self.mart):
            return set()
        actions = pa.table(self.lake.open("gold", self.mart).get_add_actions(flatten=True))
        return set(actions.column("partition.business_date").to_pylist()) - {None}

    def _fits(self) -> bool:
        """Whether the published table, if there is one, has the columns of the mart as it is built now."""
        if not self.lake.exists("gold", self.mart):
            return True
        published = pa.schema(self.lake.open("gold", self.mart).schema().to_arrow())
        built = self._stream("FALSE").schema
        return [(f.name, str(f.type)) for f in published] == [(f.name, str(f.type)) for f in built]


def chunks(rows: Mapping[date, int]) -> Iterator[list[date]]:
    """Days in their order, at most DAYS_AT_ONCE and, unless it is one day, at most ROWS_AT_ONCE together."""
    chunk: list[date] = []
    for day in sorted(rows):
        if chunk and (len(chunk) == DAYS_AT_ONCE or sum(rows[one] for one in [*chunk, day]) > ROWS_AT_ONCE):
            yield chunk
            chunk = []
        chunk.append(day)
    if chunk:
        yield chunk


def count_rows(lake: Lake, mart: str) -> int:
    """Rows of `gold/<mart>`, from its transaction log."""
    return sum(pa.table(lake.open("gold", mart).get_add_actions(flatten=True)).column("num_records").to_pylist())
