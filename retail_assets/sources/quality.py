"""Questions to bronze, quarantine and ops/loads, as plain functions that the checks ask."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from retail_assets.core.calendar import retail_calendar
from retail_assets.resources.lake import Lake
from retail_assets.sources.held_days import find_held_days
from retail_assets.sources.report import EmptyFeed, Overlap, Reason
from retail_assets.sources.staging import literal
from retail_assets.sources.state import MOVES

NORMAL_SHARE = 0.02
COMMONEST = 3
RECENT_DAYS = 7
CLOCK_TOLERANCE_MINUTES = 30
MIN_RECEIPTS = 5


class Sums(BaseModel):
    """Rows of one source by where they are now, and rows read by all of its loads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: int
    bronze: int
    quarantine: int
    duplicate: int

    @property
    def add_up(self) -> bool:
        """Whether every row read is accounted for."""
        return self.read == self.bronze + self.quarantine + self.duplicate


def sums(lake: Lake, sources: Sequence[str]) -> dict[str, Sums]:
    """Counted from the tables, not from what the loads noted about them (except rows read and duplicates)."""
    loads = lake.query(
        "SELECT source, sum(rows_read)::BIGINT AS read, sum(rows_duplicate)::BIGINT AS duplicate "
        f"FROM {lake.scan('ops', 'loads')} GROUP BY 1"
    ).to_pylist()
    noted = {row.pop("source"): row for row in loads}
    nothing = {"read": 0, "duplicate": 0}
    return {
        source: Sums(
            bronze=lake.open("bronze", source).count(),
            quarantine=lake.open("quarantine", source).count(),
            **noted.get(source, nothing),
        )
        for source in sources
    }


def empty_feeds(
    lake: Lake, source: str | None = None, loads: Mapping[str, Sequence[str]] | None = None
) -> tuple[EmptyFeed, ...]:
    """Feeds (of `source`, if given) all of whose rows are in quarantine, of `loads` (label -> load ids) or of all.

    A feed whose rows were all there before, as duplicates, is not among them.
    """
    listed = "".join(f", {literal(load)}" for ids in (loads or {}).values() for load in ids)
    chosen = f"AND load_id IN (''{listed})" if loads is not None else ""
    chosen += f" AND source = {literal(source)}" if source is not None else ""
    found = lake.query(
        "SELECT source, feed, sum(rows_read)::BIGINT AS rows_read, list(load_id) AS load_ids "
        f"FROM {lake.scan('ops', 'loads')} WHERE status IN ('committed', 'withdrawn') {chosen} "
        "GROUP BY 1, 2 HAVING sum(rows_read) > 0 AND sum(rows_read) = sum(rows_quarantined) ORDER BY 1, 2"
    ).to_pylist()
    empty = []
    for row in found:
        load_ids = row.pop("load_ids")
        if not _any_in_bronze(lake, row["source"], load_ids):  # replays may have moved rows since
            empty.append(EmptyFeed(**row, reasons=_commonest(lake, row["source"], load_ids)))
    return tuple(feed for feed in empty if feed.reasons)


def overlapping_receipts(lake: Lake, days: Sequence[date]) -> Overlap | None:
    """Receipts of `days` whose lines came in several files; None where there are none."""
    if not days:
        return None
    listed = ", ".join(f"DATE '{day}'" for day in days)
    receipts = (
        "SELECT store_id, receipt_id, list(DISTINCT file ORDER BY file) AS files "
        f"FROM {lake.scan('bronze', 'pos_lines')} WHERE business_date IN ({listed}) "
        "GROUP BY store_id, receipt_id, business_date HAVING min(file) <> max(file)"
    )
    found = lake.query(
        f"SELECT count(*) AS receipts, arg_min(receipt_id || ' of ' || store_id, (store_id, receipt_id)) AS example, "
        f"arg_min(files[1:2], (store_id, receipt_id)) AS files FROM ({receipts})"
    ).to_pylist()[0]
    return Overlap(**found) if found["receipts"] else None


def _any_in_bronze(lake: Lake, source: str, load_ids: Sequence[str]) -> bool:
    listed = ", ".join(literal(load_id) for load_id in load_ids)
    found = lake.query(f"SELECT 1 FROM {lake.scan('bronze', source)} WHERE load_id IN ({listed}) LIMIT 1")
    return bool(found.num_rows)


def _commonest(lake: Lake, source: str, load_ids: Sequence[str]) -> tuple[Reason, ...]:
    listed = ", ".join(literal(load_id) for load_id in load_ids)
    rows = lake.query(
        "SELECT split_part(reason, ':', 1) AS reason, count(*) AS rows, arg_min(reason, (file, line)) AS example, "
        "arg_min(file || ':' || line, (file, line)) AS \"where\" "
        f"FROM (SELECT unnest(reasons) AS reason, file, line FROM {lake.scan('quarantine', source)} "
        f"WHERE load_id IN ({listed})) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {COMMONEST}"
    ).to_pylist()
    return tuple(Reason(**row) for row in rows)


def recent_quarantine_shares(lake: Lake) -> dict[str, float]:
    """Per source the share of rows that went to quarantine, of those the newest week of its deliveries brought."""
    rows = lake.query(
        f"SELECT source, coalesce(sum(rows_quarantined) / nullif(sum(rows_read), 0), 0)::DOUBLE AS share "
        f"FROM ({_recent(lake)}) GROUP BY 1"
    ).to_pylist()
    return {row["source"]: row["share"] for row in rows}


def recent_schema_changes(lake: Lake) -> dict[str, list[str]]:
    """Per source `file: change` for each schema change that the newest week of its deliveries showed first."""
    rows = lake.query(
        "SELECT source, list(file || ': ' || change ORDER BY file, change) AS changes FROM "
        f"(SELECT source, file, unnest(schema_changes) AS change FROM ({_recent(lake)})) GROUP BY 1"
    ).to_pylist()
    return {row["source"]: row["changes"] for row in rows}


def _recent(lake: Lake) -> str:
    newest = "max(delivered_at) OVER (PARTITION BY source)"
    return (
        f"SELECT * FROM {lake.scan('ops', 'loads')} WHERE status NOT IN {MOVES} "
        f"QUALIFY delivered_at > {newest} - INTERVAL {RECENT_DAYS} DAY"
    )


def missing_deliveries(lake: Lake, days: int = 3) -> list[str]:
    """`store day` for stores without sales on one of the newest `days` business dates.

    Days that are held back are none. A store counts as trading on a weekday when it sold on at least 3 of the 4 same
    weekdays before; holidays of its country are left out.
    """
    pos, stores = lake.scan("bronze", "pos_lines"), lake.scan("bronze", "stores")
    with lake.connect() as connection:
        connection.register("held", find_held_days(lake, ["pos_lines"]))
        newest = connection.execute(
            f"SELECT max(business_date) FROM {pos} ANTI JOIN held USING (store_id, business_date)"
        ).fetchall()[0][0]
        if newest is None:
            return []
        countries = [c for (c,) in connection.execute(f"SELECT DISTINCT country FROM {stores}").fetchall()]
        connection.register("calendar", retail_calendar(newest - timedelta(days=35), newest, countries))
        rows = connection.execute(
            f"""
            WITH sold AS (
                SELECT DISTINCT store_id, business_date FROM {pos}
                WHERE business_date BETWEEN DATE '{newest}' - 34 AND DATE '{newest}'
            ), newest AS (SELECT DISTINCT business_date FROM sold ORDER BY 1 DESC LIMIT {days}),
            expected AS (
                SELECT sold.store_id, newest.business_date FROM newest JOIN sold
                ON sold.business_date IN (newest.business_date - 7, newest.business_date - 14,
                    newest.business_date - 21, newest.business_date - 28)
                GROUP BY ALL HAVING count(*) >= 3
            ), closed AS (
                SELECT store_id, calendar_date AS business_date FROM {stores} JOIN calendar USING (country)
                WHERE is_holiday
            )
            SELECT store_id || ' ' || business_date FROM expected ANTI JOIN sold USING (store_id, business_date)
            ANTI JOIN closed USING (store_id, business_date) ORDER BY 1
            """
        ).fetchall()
    return [missing for (missing,) in rows]


def skewed_clocks(lake: Lake) -> list[str]:
    """Lines about store days whose tills and payments differ by more than half an hour in the median receipt."""
    rows = lake.query(
        f"""
        WITH receipts AS (
            SELECT store_id, business_date, payment_id, min(sold_at) AS sold_at
            FROM {lake.scan("bronze", "pos_lines")} WHERE payment_id IS NOT NULL AND quantity > 0 GROUP BY ALL
        ), gaps AS (
            SELECT r.store_id, r.business_date, count(*) AS receipts,
                median(date_diff('minute', p.paid_at, r.sold_at)) AS minutes
            FROM receipts AS r JOIN {lake.scan("bronze", "payments")} AS p USING (payment_id) GROUP BY ALL
        )
        SELECT store_id || ' on ' || business_date || ': tills are ' || minutes || ' minutes off ('
            || receipts || ' receipts)' AS skewed
        FROM gaps WHERE receipts >= {MIN_RECEIPTS} AND abs(minutes) > {CLOCK_TOLERANCE_MINUTES} ORDER BY 1
        """
    )
    return [str(value) for value in rows["skewed"].to_pylist()]
