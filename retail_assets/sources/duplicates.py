"""Which good rows repeat a key: a duplicate (same content), a conflict, or a new version of a thing."""

from collections.abc import Iterable
from datetime import date

import duckdb

from retail_assets.resources.lake import Lake
from retail_assets.sources.contract import Contract
from retail_assets.sources.staging import quoted
from retail_assets.sources.tables import bronze_days, bronze_view

MAX_REMEMBERED = 30_000_000


class Keys:
    """The keys of one bronze table, as hashes in the table `seen_keys` of a DuckDB connection.

    Judged rows are in the table `part`; `full_part` is the same rows with all of their columns.

    Only days that new rows touch are read from bronze, once; what this process writes is added as it goes. A hash that
    was seen only makes a row suspect: the verdict compares the key columns themselves.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract) -> None:
        self._connection, self._lake, self._contract = connection, lake, contract
        self._in_bronze = bronze_days(lake, contract.source)
        self._known: set[date] = set()
        self._forget()

    def find_repeats(self) -> int:
        """Fills `repeats` (_file, _line, same, other) for rows of `part` whose key occurred before; returns how many.

        `same` says the content is equal; `other` is the row_id of the row that came first.
        """
        found = self._connection.execute("SELECT DISTINCT business_date FROM part WHERE _ok").fetchall()
        days = {day for (day,) in found}
        self._cover(days)
        nearby = f"WHERE business_date IN ({_days(days)})" if self._by_day() and days else ""
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE suspects AS "
            "SELECT _key_hash FROM part WHERE _ok GROUP BY 1 HAVING count(*) > 1 "
            f"UNION SELECT _key_hash FROM (FROM seen_keys {nearby}) "
            "SEMI JOIN (SELECT _key_hash FROM part WHERE _ok) USING (_key_hash)"
        )
        if self._connection.execute("SELECT count(*) FROM suspects").fetchall()[0][0] == 0:
            self._connection.execute(
                "CREATE OR REPLACE TEMP TABLE repeats (_file INTEGER, _line INTEGER, same BOOLEAN, other VARCHAR)"
            )
            return 0
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE repeats AS {self._verdicts()}")
        return int(self._connection.execute("SELECT count(*) FROM repeats").fetchall()[0][0])

    def remember(self, days: Iterable[date], written: str) -> None:
        """Adds the keys of the rows `written`, all of whose business dates are `days`."""
        self._in_bronze |= set(days)
        self._connection.execute(f"INSERT INTO seen_keys SELECT _key_hash, business_date FROM {written}")
        if self._connection.execute("SELECT count(*) FROM seen_keys").fetchall()[0][0] > MAX_REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        self._known = set()
        self._connection.execute("CREATE OR REPLACE TEMP TABLE seen_keys (_key_hash UBIGINT, business_date DATE)")

    def _cover(self, days: Iterable[date]) -> None:
        wanted = set(days) if self._by_day() else self._in_bronze
        unread = (wanted & self._in_bronze) - self._known
        self._known |= wanted
        if unread:
            self._connection.execute(
                f"INSERT INTO seen_keys SELECT {self._hash()}, business_date FROM {self._bronze()} "
                f"WHERE business_date IN ({_days(unread)})"
            )

    def _by_day(self) -> bool:
        return self._contract.key.within == "business_date"

    def _bronze(self) -> str:
        return bronze_view(self._lake, self._contract)

    def _hash(self) -> str:
        return f"hash({', '.join(self._columns())})"

    def _columns(self) -> list[str]:
        return [quoted(c) for c in self._contract.key.columns] or ["content_hash"]

    def _verdicts(self) -> str:
        """Rows of `part` that repeat a key, in the order of delivery; the first row of a key is never among them.

        The same content is the same raw row or, whatever its spelling, the same values.
        """
        key, versioned = ", ".join(self._columns()), self._contract.key.repeated == "version"
        key_columns = ", ".join(c for c in self._columns() if c != "content_hash")
        values = ", ".join(quoted(name) for name in self._contract.columns)
        shared = f"{key_columns}{', ' if key_columns else ''}content_hash, hash({values}) AS content, delivered_at"
        days = "AND business_date IN (SELECT DISTINCT business_date FROM part SEMI JOIN suspects USING (_key_hash))"
        if not self._by_day():
            days = ""
        base = "lag" if versioned else "first_value"
        order = "PARTITION BY {key} ORDER BY {delivery} _file NULLS FIRST, _line".format(
            key=key, delivery="delivered_at, " if versioned else ""
        )
        keep = " AND same" if versioned else ""
        return f"""
            WITH candidates AS (
                SELECT {shared}, NULL::INTEGER AS _file, line AS _line, row_id FROM {self._bronze()}
                WHERE {self._hash()} IN (SELECT _key_hash FROM suspects) {days}
                UNION ALL
                SELECT {shared}, _file, _line, load_id || ':' || _line
                FROM full_part SEMI JOIN suspects USING (_key_hash) JOIN files USING (_file) WHERE _ok
            ), compared AS (
                SELECT _file, _line, {base}(row_id) OVER w AS other, row_number() OVER w AS nth,
                    content_hash = {base}(content_hash) OVER w OR content = {base}(content) OVER w AS same
                FROM candidates WINDOW w AS ({order})
            )
            SELECT _file, _line, same, other FROM compared WHERE _file IS NOT NULL AND nth > 1{keep}
        """


def _days(days: Iterable[date]) -> str:
    return ", ".join(f"DATE '{day}'" for day in sorted(days))
