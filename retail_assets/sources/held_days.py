"""Days that gold does not take over yet: rows say that it is already that day, but the store does not.

"Today" is the newest day in gold, for features, forecasts and prices alike. If it were the newest date that any row
has, one mistyped date would move it for every store. A newest day is held back until the store has told of it:

- it has at least `least_share` of the rows of a usual day (the median of its 28 before), and after more than a week
  without any row at least half of a usual day and two rows;
- or it is one of three such days within a week: then that is what the store sells now;
- or the other stores have told of a day a week later: then the rest of it will not come.

The same is asked of the rows of all stores together. Stock that was counted on a day whose sales have not arrived is
held for a week at most: without them every item would seem to have sold nothing. Held rows stay in bronze; they enter
gold by themselves on the day on which they are believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from retail_assets.resources.lake import Lake
from retail_assets.sources.config import load_contracts

TABLE = "held_days"
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("store_id", pa.string()),
        ("business_date", pa.date32()),
        ("rows", pa.int64()),
        ("usual_rows", pa.float64()),
        ("newest_day", pa.date32()),
        ("why", pa.string()),
    ]
)
SALES, STOCK = "pos_lines", "stock_levels"
TOLD_BY = (SALES, STOCK, "click_events", "payments")
DAYS_READ = 60  # enough to know what is usual; older days are believed
FEW, NO_SALES = "few rows", "no sales yet"

# A newest day is believed or held; the days before the newest believed one are history, whatever they look like.
HELD = """
    with counted as (
        select coalesce(store_id, '') as store_id, business_date, count(*) as rows
        from {scan} where business_date >= date '{first}' group by all
    ),
    days as (
        select false as together, store_id, business_date, rows from counted
        union all select true, '', business_date, sum(rows)::bigint from counted group by business_date
    ),
    seen as (
        select *,
            median(rows) over (by_store rows between 28 preceding and 1 preceding) as usual_rows,
            business_date - lag(business_date) over (by_store) as since
        from days window by_store as (partition by together, store_id order by business_date)
    ),
    judged as (
        select *,
            usual_rows is null
            or (rows >= {share} * usual_rows and (since <= 7 or (rows >= usual_rows / 2 and rows >= 2))) as believed
        from seen
    ),
    untold as (
        select *, max(business_date) filter (believed) over (partition by together, store_id) as until
        from judged
    ),
    three as (
        select together, store_id, max(business_date) as until
        from (
            select together, store_id, business_date, business_date - lag(business_date, 2) over (
                partition by together, store_id order by business_date) as span
            from untold where business_date > until
        )
        where span < 7 group by all
    ),
    believed as (
        select together, store_id, greatest(max(untold.until), max(three.until)) as until
        from untold left join three using (together, store_id) group by all
    )
    select '{source}' as source, store_id, business_date, rows, usual_rows,
        least(believed.until, chain.until) as newest_day, '{few}' as why
    from untold join believed using (together, store_id)
    cross join (select until from believed where together) as chain
    where not together and business_date > newest_day and business_date > chain.until - 7"""

WITHOUT_SALES = """
    with sold as (
        select coalesce(store_id, '') as store_id, max(business_date) as until
        from {sales} as s anti join held_of_sales as h
            on h.store_id = coalesce(s.store_id, '') and h.business_date = s.business_date
        where s.business_date >= date '{first}' group by all
    ),
    counted as (
        select coalesce(store_id, '') as store_id, business_date, count(*) as rows
        from {stock} where business_date >= date '{first}' group by all
    )
    select '{source}' as source, store_id, business_date, rows, null::double as usual_rows, until as newest_day,
        '{no_sales}' as why
    from counted join sold using (store_id)
    where business_date > until
    qualify max(business_date) over (partition by store_id) <= until + 7"""


@dataclass(frozen=True)
class HeldDay:
    """Rows of one source, store ('' where they name none) and business date that gold does not take over yet.

    `newest_day` is the newest one that it does, `usual_rows` what a day of the store has.
    """

    source: str
    store_id: str
    business_date: date
    rows: int
    usual_rows: float | None
    newest_day: date
    why: str

    @property
    def is_ahead(self) -> bool:
        """Whether the day is not just one that has begun: after midnight every store has a few rows of the next."""
        return self.why == FEW and self.business_date > self.newest_day + timedelta(days=1)

    def __str__(self) -> str:
        store = self.store_id or "no store"
        told = f"{self.source} of {store} on {self.business_date}: {self.rows:,} row{'s' * (self.rows != 1)}"
        if self.why == NO_SALES:
            return f"{told}, and no sales of that day yet"
        return told if self.usual_rows is None else f"{told}, usually {self.usual_rows:,.0f}"


def write_held_days(lake: Lake) -> bool:
    """Writes `bronze/held_days` when it changed; says whether it did. The sources must have their bronze tables."""
    lake.ensure("bronze", TABLE, SCHEMA, ["business_date"])
    held = find_held_days(lake)
    order = [("source", "ascending"), ("store_id", "ascending"), ("business_date", "ascending")]
    written = lake.query(f"SELECT {', '.join(SCHEMA.names)} FROM {lake.scan('bronze', TABLE)}").cast(SCHEMA)
    if held.sort_by(order).equals(written.sort_by(order)):
        return False
    lake.overwrite("bronze", TABLE, held, ["business_date"])
    return True


def find_held_days(lake: Lake, sources: Sequence[str] = TOLD_BY) -> pa.Table:
    """What is held back of bronze as it is now, with SCHEMA. Reads the newest 60 days of each source."""
    contracts = load_contracts()
    tables = {source: SCHEMA.empty_table() for source in sources}
    firsts = {source: _first_day(lake, source) for source in sources}
    with lake.connect() as connection:
        for source, first in firsts.items():
            if first is None:
                continue
            share = contracts[source].business_date.least_share
            sql = HELD.format(source=source, scan=lake.scan("bronze", source), first=first, share=share, few=FEW)
            tables[source] = connection.execute(sql).to_arrow_table().cast(SCHEMA)
        sales, stock = firsts.get(SALES), firsts.get(STOCK)
        if sales is not None and stock is not None:
            connection.register("held_of_sales", tables[SALES])
            scans = {"sales": lake.scan("bronze", SALES), "stock": lake.scan("bronze", STOCK)}
            sql = WITHOUT_SALES.format(source=STOCK, first=min(sales, stock), no_sales=NO_SALES, **scans)
            tables["waiting"] = connection.execute(sql).to_arrow_table().cast(SCHEMA)
    return _one_reason_each(pa.concat_tables(tables.values()))


def held_days(lake: Lake) -> list[HeldDay]:
    """What the newest build held back, newest day first."""
    if not lake.exists("bronze", TABLE):
        return []
    order = "ORDER BY business_date DESC, source, store_id"
    rows = lake.query(f"SELECT {', '.join(SCHEMA.names)} FROM {lake.scan('bronze', TABLE)} {order}")
    return [HeldDay(**row) for row in rows.to_pylist()]


def not_held(lake: Lake, source: str) -> str:
    """The SQL of the rows of `bronze/<source>` that gold takes over."""
    rows = lake.scan("bronze", source)
    if not lake.exists("bronze", TABLE):
        return f"(SELECT * FROM {rows})"
    return (
        f"(SELECT * FROM {rows} AS r WHERE NOT EXISTS (SELECT 1 FROM {lake.scan('bronze', TABLE)} AS h "
        f"WHERE h.source = '{source}' AND h.store_id = coalesce(r.store_id, '') AND h.business_date = r.business_date))"
    )


def _first_day(lake: Lake, source: str) -> date | None:
    """The earliest of the newest DAYS_READ days of `bronze/<source>`, from the log of the table."""
    if not lake.exists("bronze", source):
        return None
    actions = pa.table(lake.open("bronze", source).get_add_actions(flatten=True))
    if "partition.business_date" not in actions.column_names:
        return None
    days = sorted(set(actions["partition.business_date"].to_pylist()) - {None})
    return days[-DAYS_READ:][0] if days else None


def _one_reason_each(held: pa.Table) -> pa.Table:
    first: dict[tuple[str, str, date], Mapping[str, object]] = {}
    for row in held.to_pylist():
        first.setdefault((row["source"], row["store_id"], row["business_date"]), row)
    return pa.Table.from_pylist(list(first.values()), SCHEMA)
