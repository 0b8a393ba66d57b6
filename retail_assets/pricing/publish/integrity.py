"""Price integrity: the price scanned at the till against the price that should be asked, per store.

Looked at are sold lines without a promotion. The price listed is the one in force in the retailer's price list in the
line's currency (a price that was read off these very lines is none); the price published is that of the newest batch
that was published in the store and has taken effect, or what a person corrected it to.
"""

from datetime import date, timedelta

import pyarrow as pa

from retail_assets.pricing.config import IntegrityConfig
from retail_assets.pricing.publish.publication import CORRECTION, PROPOSALS, PUBLICATIONS, leaves_the_house
from retail_assets.resources.lake import Lake

REPORT = "price_integrity"

SCANNED = """
create temp table scanned as
    select store_id, sku, business_date, currency, unit_price
    from {lines}
    where business_date > date '{first}' and business_date <= date '{last}'
      and promo_code is null and quantity > 0 and unit_price > 0
"""

COMPARED = """
with listed as (
    select store_id, sku, currency, valid_from, list_price from {history}
    where valid_from <= date '{last}' and source = 'price_list'
),
published as ({published}),
compared as (
    select s.*, l.list_price, p.price as published_price, p.currency as published_currency
    from scanned s
    asof left join listed l on l.store_id = s.store_id and l.sku = s.sku and l.currency = s.currency
                           and s.business_date >= l.valid_from
    asof left join published p on p.store_id = s.store_id and p.sku = s.sku and s.business_date >= p.effective_from
),
judged as (
    select *, abs(unit_price - list_price) > {tolerance} as wrong_list,
           published_currency is distinct from currency or abs(unit_price - published_price) > {tolerance}
               as wrong_published
    from compared
)
select store_id, date '{last}' as business_date, count(*) as lines,
       count(list_price) as with_list_price, count(*) filter (wrong_list) as wrong_against_list,
       coalesce(count(*) filter (wrong_list) / nullif(count(list_price), 0), 0)::double as wrong_share_listed,
       count(published_price) as with_published_price,
       count(*) filter (wrong_published and published_price is not null) as wrong_against_published,
       coalesce(count(*) filter (wrong_published and published_price is not null)
                / nullif(count(published_price), 0), 0)::double as wrong_share_published,
       coalesce(avg(unit_price - list_price) filter (wrong_list), 0)::double as mean_difference
from judged group by store_id order by store_id
"""

NONE_PUBLISHED = """
    select null::varchar as store_id, null::varchar as sku, null::date as effective_from,
           null::decimal(12, 2) as price, null::varchar as currency where false
"""

ALL_PUBLISHED = """
    select p.store_id, p.sku, p.effective_from, p.price, p.currency
    from {proposals} p
    join (
        select batch_id, store_id, status, stopped_categories, "at" from {publications}
        qualify row_number() over (partition by batch_id, store_id order by "at" desc, publication_id desc) = 1
    ) g on g.batch_id = p.batch_id and g.store_id = p.store_id and g.status = 'published'
    where not list_contains(g.stopped_categories, coalesce(p.category, '')) and {free}
    qualify row_number() over (
        partition by p.store_id, p.sku, p.effective_from
        order by p.batch_id like '{correction}%' desc, g."at" desc) = 1
"""


def integrity(lake: Lake, last_day: date, config: IntegrityConfig) -> pa.Table:
    """One row per store for the `config.days` business dates up to `last_day`.

    Counts of sold lines without a promotion, of those whose list price (published price) is known, of those scanned
    otherwise, and their shares (0 to 1); `mean_difference` is the till's price less the listed one, over wrong lines.
    """
    first = last_day - timedelta(days=config.days)
    published = NONE_PUBLISHED
    if lake.exists("ops", PUBLICATIONS):
        tables = {"proposals": lake.scan("ops", PROPOSALS), "publications": lake.scan("ops", PUBLICATIONS)}
        published = ALL_PUBLISHED.format(**tables, free=leaves_the_house(lake), correction=CORRECTION)
    with lake.connect() as connection:
        days = {"first": first.isoformat(), "last": last_day.isoformat()}
        connection.execute(SCANNED.format(lines=lake.scan("bronze", "pos_lines"), **days))
        names = {"history": lake.scan("gold", "fct_price_history"), "published": published}
        return connection.execute(COMPARED.format(tolerance=config.tolerance, **names, **days)).to_arrow_table()


def wrong_share(config: IntegrityConfig) -> str:
    """The column of the report that the check looks at."""
    return f"wrong_share_{config.against}"
