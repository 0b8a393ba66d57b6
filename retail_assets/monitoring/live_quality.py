"""What became of answers: joined with what was sold, per product, version, arm and store.

An outcome day is judged once its sales are in gold, and again for LATE_DAYS days, as files come late. How an answer
meets its outcome is for each product to say: see Product.outcomes.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.markdown import table
from retail_assets.core.products import load
from retail_assets.core.registry import products
from retail_assets.releases.ledger import Ledger
from retail_assets.releases.rows import LIVE_ACTIONS, Release
from retail_assets.releases.targets import STORE
from retail_assets.releases.traffic_split import Arm, arm_of
from retail_assets.resources.lake import Lake

REPORT = "live_quality"
SALES = "fct_sales_daily"
LATE_DAYS, FIRST_DAYS = 3, 28
KEYS = ("product", "source", "model_version", "arm", "store_id", "business_date")
SUMS = ("answers", "judged", "units", "expected_units", "absolute_error", "value", "expected_value")
QUALITY_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.date32() if name == "business_date" else pa.string()) for name in KEYS),
        *(pa.field(name, pa.int64()) for name in SUMS[:2]),
        *(pa.field(name, pa.float64()) for name in SUMS[2:]),
    ]
)
"""`judged` of the `answers` met an outcome; the sums are of those. `value` is margin in minor units, of prices only."""

SOLD = """
create temp table sold as
    select store_id, sku, business_date, gross_units, list_price from {sales}
    where business_date between date '{first}' and date '{last}';
create temp table open_days as select distinct store_id, business_date from sold
"""


def days_to_judge(lake: Lake) -> list[date]:
    """Business dates with sales that were not judged yet or may have got late files, oldest first."""
    if not lake.exists("gold", SALES):
        return []
    known = sorted(date.fromisoformat(str(part["business_date"])) for part in lake.open("gold", SALES).partitions())
    if not known:
        return []
    since = known[-1] - timedelta(days=FIRST_DAYS)
    if lake.exists("reports", REPORT):
        done = [date.fromisoformat(str(part["business_date"])) for part in lake.open("reports", REPORT).partitions()]
        since = max([since, *(day - timedelta(days=LATE_DAYS) for day in [max(done, default=since)])])
    return [day for day in known if day > since]


def judge(lake: Lake, days: Sequence[date]) -> pa.Table:
    """Rows of QUALITY_SCHEMA for outcome days: answers that were given for them, and what was sold."""
    if not days:
        return QUALITY_SCHEMA.empty_table()
    first, last = min(days), max(days)
    queries = [sql for p in products().values() if p.outcomes for sql in load(p.outcomes)(lake, first, last)]
    with lake.connect() as connection:
        connection.execute(SOLD.format(sales=lake.scan("gold", SALES), first=first, last=last))
        found = [connection.execute(sql).to_arrow_table().cast(QUALITY_SCHEMA) for sql in queries]
    table = pa.concat_tables([QUALITY_SCHEMA.empty_table(), *found])
    table = table.filter(pc.is_in(table["business_date"], pa.array(days, pa.date32())))
    return _with_arms(table, Ledger(lake).log()).sort_by([(name, "ascending") for name in KEYS])


def _with_arms(table: pa.Table, log: Sequence[Release]) -> pa.Table:
    """Fills arms that rows do not say from the newest release by which the version came to the store."""
    keys = zip(*(table[name].to_pylist() for name in ("product", "model_version", "store_id", "arm")), strict=True)
    known: dict[tuple[str, str, str], Arm] = {}
    arms = []
    for product, version, store, arm in keys:
        key = (product, version, store)
        if arm is None and key not in known:
            known[key] = _arm_in(log, *key)
        arms.append(arm or known[key])
    return table.set_column(table.schema.get_field_index("arm"), "arm", pa.array(arms, pa.string()))


def _arm_in(log: Sequence[Release], product: str, version: str, store: str) -> Arm:
    def concerns(release: Release) -> bool:
        return not release.target.startswith(STORE) or release.target == f"{STORE}{store}"

    rows = [r for r in log if (r.product, r.version) == (product, version) and concerns(r)]
    return arm_of(next((r for r in reversed(rows) if r.action in (*LIVE_ACTIONS, "canary")), None))


def by_arm(lake: Lake, days: int = 7) -> list[dict[str, object]]:
    """The last outcome days summed per product, source, version and arm, with `wape`, `bias` and `value_ratio`.

    `wape` and `bias` are shares of the units sold; `value_ratio` is the margin earned over the margin expected.
    """
    if not lake.exists("reports", REPORT):
        return []
    table = lake.scan("reports", REPORT)
    return lake.query(
        f"""select product, source, model_version, arm, count(distinct store_id) as stores,
                   count(distinct business_date) as days,
                   sum(answers)::bigint as answers, sum(judged)::bigint as judged,
                   sum(absolute_error) / nullif(sum(units), 0) as wape,
                   (sum(expected_units) - sum(units)) / nullif(sum(units), 0) as bias,
                   sum(value) / nullif(sum(expected_value), 0) as value_ratio
            from {table} where business_date > (select max(business_date) from {table}) - {int(days)}
            group by all order by all"""
    ).to_pylist()


def quality_table(rows: Sequence[dict[str, object]]) -> str:
    """A markdown table of `by_arm`."""
    names = list(rows[0]) if rows else list(KEYS[:4])
    return table(names, ([_said(row[name]) for name in names] for row in rows))


def _said(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
