"""Rows on which the SQL of a feed fails: each is refused with that as its problem, and the others are loaded.

DuckDB stops at the first value that cannot be cast. Only then is this asked, which computes everything once more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import duckdb

from retail_assets.sources.contract import named
from retail_assets.sources.judging import Judge
from retail_assets.sources.staging import Own, literal, quoted

MOST_FOUND_SINGLY = 100
SHOWN_LETTERS = 60
POSITION = f"raw.{Own.POS}"
OF_A_VALUE = (duckdb.DataError, duckdb.InvalidInputException, duckdb.NotSupportedError)
"""What DuckDB raises for a value that SQL fails on; not so for SQL that it cannot bind, or a disk that is full."""


@dataclass(frozen=True)
class Attempt:
    """The SQL of one column or rule, which reads the columns `names`, over the rows of `source` without a problem."""

    name: str
    sql: str
    source: str
    names: Sequence[str]

    def failing(self) -> str:
        """SELECT of the position and the reason of the rows it fails on; not every SQL can stand in it."""
        return f"{self._reasons()} AND TRY([({self.sql})]) IS NULL"

    def over(self, first: int, end: int) -> str:
        """A statement that fails where the SQL fails on one of the rows from `first` to before `end`."""
        return (
            f"SELECT bit_xor(hash(({self.sql}))) FROM {self._rows()} AND {POSITION} >= {first} AND {POSITION} < {end}"
        )

    def one(self, position: int) -> str:
        """SELECT of the position and the reason of a row that is known to fail."""
        return f"{self._reasons()} AND {POSITION} = {position}"

    def _reasons(self) -> str:
        said = literal(f"not_computed: {self.name} cannot be computed")
        values = [
            f"{literal(f'{name}=')} || coalesce('''' || left(CAST(raw.{quoted(name)} AS VARCHAR), {SHOWN_LETTERS}) "
            "|| '''', 'NULL')"
            for name in self.names
        ]
        from_values = f" || ' from ' || concat_ws(', ', {', '.join(values)})" if values else ""
        return f"SELECT {POSITION}, {said}{from_values} FROM {self._rows()}"

    def _rows(self) -> str:
        return f"{self.source} WHERE raw.{Own.PROBLEM} IS NULL"


def refuse_failing(
    connection: duckdb.DuckDBPyConnection, judge: Judge, view: str, positions: range
) -> tuple[Judge, str] | None:
    """A judge and a view over the rows of `view`, whose numbers are `positions`, that refuse those the SQL fails on.

    None where no row is found that it fails on, or too many that can only be found one by one. The view needs the table
    `failing`, which this makes.
    """
    guarded, tried = replace(judge, guarded=True), f"{view}_tried"
    read = _named(judge, " ".join(judge.feed.expressions))
    # Without their values, too: DuckDB computes a subquery before it asks whether the row has a problem.
    empty = "".join(f", CASE WHEN f.what IS NULL THEN v.{quoted(n)} END AS {quoted(n)}" for n in read)
    connection.execute("CREATE OR REPLACE TEMP TABLE failing (position INTEGER, what VARCHAR)")
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {tried} AS SELECT v.* REPLACE (coalesce(v.{Own.PROBLEM}, f.what) AS "
        f"{Own.PROBLEM}{empty}) FROM {view} AS v LEFT JOIN failing AS f ON f.position = v.{Own.POS}"
    )
    for name, sql, source in guarded.attempts(tried):
        if not _noted(connection, Attempt(name, sql, source, _named(judge, sql)), positions):
            return None
    found = connection.execute("SELECT count(*) FROM failing").fetchall()[0][0]
    return (guarded, tried) if found else None


def _noted(connection: duckdb.DuckDBPyConnection, attempt: Attempt, positions: range) -> bool:
    """Whether the rows that `attempt` fails on are in the table `failing` now."""
    try:
        connection.execute(f"INSERT INTO failing {attempt.failing()}")
    except duckdb.Error:  # TRY takes no subquery and nothing that differs each time, and lets some errors pass
        positions_found = list(islice(_found_by_halves(connection, attempt, positions), MOST_FOUND_SINGLY + 1))
        if len(positions_found) > MOST_FOUND_SINGLY:
            return False
        for position in positions_found:
            connection.execute(f"INSERT INTO failing {attempt.one(position)}")
    return True


def _found_by_halves(connection: duckdb.DuckDBPyConnection, attempt: Attempt, positions: range) -> Iterator[int]:
    """The rows that fail alone, of those at `positions`."""
    try:
        connection.execute(attempt.over(positions.start, positions.stop))
    except OF_A_VALUE:
        middle = len(positions) // 2
        if middle == 0:
            yield positions.start
        else:
            yield from _found_by_halves(connection, attempt, positions[:middle])
            yield from _found_by_halves(connection, attempt, positions[middle:])


def _named(judge: Judge, sql: str) -> list[str]:
    """The columns of the files that `sql` may name."""
    return [name for name in judge.layout if named(name, [sql])]
