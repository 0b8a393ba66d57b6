"""What became of answers: forecasts and prices joined with what was sold, per product, version, arm and store.

An outcome day is judged once its sales are in gold, and again for LATE_DAYS days, as files come late. A forecast is the
newest one made before its day. A price is judged where the list price of its day is the price decided: where somebody
set another one, what the model expected of its own price says nothing.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from retail_assets.core.markdown import table
from retail_assets.resources.lake import Lake
from retail_assets.serving.arms import Arm, arm_of
from retail_assets.serving.ledger import Ledger
from retail_assets.serving.release_rows import LIVE_ACTIONS, Release
from retail_assets.serving.targets import STORE

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

FORECAST = """
    select 'forecasting' as product, 'batch' as source, model_version, null::varchar as arm, store_id, sku,
           target_date, mean, origin_date, null::timestamptz as "at"
    from {forecasts} where target_date between date '{first}' and date '{last}'
"""

ANSWERED = """
    select 'forecasting' as product, mode as source, model_version, {arm} as arm, store_id, sku,
           (day->>0)::date as target_date, (day->>1)::double as mean, business_date as origin_date, "at"
    from (select *, unnest(json_extract(output, '$.days[*]')) as day from {decisions}
          where mode in ('service', 'shadow') and business_date between date '{first}' - 28 and date '{last}')
    where (day->>0)::date between date '{first}' and date '{last}'
"""

FORECAST_QUALITY = """
    with made as (
        select * from ({made}) where target_date > origin_date
        qualify row_number() over (partition by source, model_version, arm, store_id, sku, target_date
                                   order by origin_date desc, "at" desc) = 1
    )
    select m.product, m.source, m.model_version, m.arm, m.store_id, m.target_date as business_date,
           count(*) as answers, count(o.store_id) as judged,
           coalesce(sum(coalesce(s.gross_units, 0)) filter (o.store_id is not null), 0) as units,
           coalesce(sum(m.mean) filter (o.store_id is not null), 0) as expected_units,
           coalesce(sum(abs(m.mean - coalesce(s.gross_units, 0))) filter (o.store_id is not null), 0) as absolute_error,
           null::double as value, null::double as expected_value
    from made m
    left join open_days o on o.store_id = m.store_id and o.business_date = m.target_date
    left join sold s on s.store_id = m.store_id and s.sku = m.sku and s.business_date = m.target_date
    group by all
"""

PRICE_QUALITY = """
    with decided as (
        select model_version, {arm} as arm, store_id, sku, price, business_date + 1 as day,
               (output::json->>'$.units_after')::double as expected, (output::json->>'$.margin_after')::double as margin
        from {decisions}
        where mode = 'batch' and business_date between date '{first}' - 1 and date '{last}' - 1
        qualify row_number() over (partition by store_id, sku, business_date order by "at" desc, decision_id desc) = 1
    ),
    met as (
        select d.*, s.gross_units, d.margin / nullif(d.expected, 0) as margin_per_unit,
               d.expected is not null and abs(s.list_price - d.price) < 0.005 as judged
        from decided d left join sold s on s.store_id = d.store_id and s.sku = d.sku and s.business_date = d.day
    )
    select 'pricing' as product, 'batch' as source, model_version, arm, store_id, day as business_date,
           count(*) as answers, count(*) filter (judged) as judged,
           coalesce(sum(gross_units) filter (judged), 0) as units,
           coalesce(sum(expected) filter (judged), 0) as expected_units,
           coalesce(sum(abs(expected - gross_units)) filter (judged), 0) as absolute_error,
           coalesce(sum(margin_per_unit * gross_units) filter (judged), 0) as value,
           coalesce(sum(margin_per_unit * expected) filter (judged), 0) as expected_value
    from met group by all
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
    place = {"first": min(days).isoformat(), "last": max(days).isoformat()}
    queries = _queries(lake, place)
    with lake.connect() as connection:
        connection.execute(SOLD.format(sales=lake.scan("gold", SALES), **place))
        found = [connection.execute(sql).to_arrow_table().cast(QUALITY_SCHEMA) for sql in queries]
    table = pa.concat_tables([QUALITY_SCHEMA.empty_table(), *found])
    table = table.filter(pc.is_in(table["business_date"], pa.array(days, pa.date32())))
    return _with_arms(table, Ledger(lake).log()).sort_by([(name, "ascending") for name in KEYS])


def _queries(lake: Lake, place: dict[str, str]) -> list[str]:
    made = []
    if lake.exists("gold", "forecasts"):
        made.append(FORECAST.format(forecasts=lake.scan("gold", "forecasts"), **place))
    if lake.exists("decisions", "forecasting"):
        made.append(
            ANSWERED.format(decisions=lake.scan("decisions", "forecasting"), arm=_arm(lake, "forecasting"), **place)
        )
    queries = [FORECAST_QUALITY.format(made=" union all ".join(made))] if made else []
    if lake.exists("decisions", "pricing"):
        decisions = lake.scan("decisions", "pricing")
        queries.append(PRICE_QUALITY.format(decisions=decisions, arm=_arm(lake, "pricing"), **place))
    return queries


def _arm(lake: Lake, product: str) -> str:
    """The column of the arm; null in tables that were written before there was one."""
    names = [field.name for field in lake.open("decisions", product).schema().fields]
    return "arm" if "arm" in names else "null::varchar"


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
