"""Prices beside what was sold at them.

A price is judged where the list price of its day is the price decided: where somebody set another one, what the model
expected of its own price says nothing.
"""

from datetime import date

from retail_assets.decisions.rows import arm_column
from retail_assets.resources.lake import Lake

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


def outcomes(lake: Lake, first: date, last: date) -> list[str]:
    """See Product.outcomes."""
    if not lake.exists("decisions", "pricing"):
        return []
    place = {"first": first.isoformat(), "last": last.isoformat()}
    decisions, arm = lake.scan("decisions", "pricing"), arm_column(lake, "pricing")
    return [PRICE_QUALITY.format(decisions=decisions, arm=arm, **place)]
