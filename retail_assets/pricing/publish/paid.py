"""Decided prices against what customers paid of late: a price that nobody has paid is a fault before it is a plan."""

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from retail_assets.pricing.config import PaidConfig
from retail_assets.pricing.decide.gold_inputs import SALES
from retail_assets.pricing.publish.breaker import CHAIN, Finding
from retail_assets.resources.lake import Lake

NEAR_10, NEAR_30 = "near_paid_10", "near_paid_30"

COMPARED = """
with paid as (
    select store_id, sku, quantile_disc(paid_price, 0.5) as price, sum(gross_amount) as revenue
    from {sales}
    where business_date > date '{today}' - {days} and business_date <= date '{today}' and paid_price > 0
      and not on_promotion
    group by all
),
compared as (
    select d.currency, p.revenue, abs(d.price / p.price - 1) as gap
    from decided d join paid p using (store_id, sku)
),
by_currency as (
    select count(*) as items, sum(revenue)::double as revenue,
           coalesce(sum(revenue) filter (gap <= 0.1), 0)::double as near_10,
           coalesce(sum(revenue) filter (gap <= 0.3), 0)::double as near_30
    from compared group by currency
)
select coalesce(sum(items), 0)::bigint as items, sum(near_10 / revenue * items) / sum(items) as near_10,
       sum(near_30 / revenue * items) / sum(items) as near_30
from by_currency where revenue > 0
"""


@dataclass(frozen=True)
class NearPaid:
    """Shares of revenue (0 to 1) whose decided price is within 10 % and 30 % of what its customers paid.

    Paid is the middle line of the middle day, promotions left out. Currencies cannot be added: each counts by its
    `items`. Without any item to compare the shares are 1.
    """

    items: int
    within_10: float
    within_30: float


def near_paid(lake: Lake, decided: pa.Table, today: date, config: PaidConfig, version: int | None = None) -> NearPaid:
    """Compares `decided` (store_id, sku, price, currency) with the sales of the last `config.days` days."""
    with lake.connect() as connection:
        connection.register("decided", decided.select(["store_id", "sku", "price", "currency"]))
        sql = COMPARED.format(sales=lake.scan("gold", SALES, version), today=today.isoformat(), days=config.days)
        items, near_10, near_30 = connection.execute(sql).fetchall()[0]
    return NearPaid(items, 1.0 if near_10 is None else near_10, 1.0 if near_30 is None else near_30)


def judge_paid(near: NearPaid, config: PaidConfig) -> tuple[Finding, ...]:
    """What is wrong: fewer revenue near its paid price than the limits ask for. Pure."""
    if near.items < config.minimum_items:
        return ()
    numbers = ((NEAR_10, near.within_10, config.within_10), (NEAR_30, near.within_30, config.within_30))
    return tuple(
        Finding(CHAIN, name, value, limit, 1.0, "limit") for name, value, limit in numbers if not value >= limit
    )
