"""Forecasts beside what was sold. A forecast is the newest one made before its day."""

from datetime import date

from retail_assets.decisions.rows import arm_column
from retail_assets.resources.lake import Lake

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


def outcomes(lake: Lake, first: date, last: date) -> list[str]:
    """See Product.outcomes."""
    place = {"first": first.isoformat(), "last": last.isoformat()}
    made = []
    if lake.exists("gold", "forecasts"):
        made.append(FORECAST.format(forecasts=lake.scan("gold", "forecasts"), **place))
    if lake.exists("decisions", "forecasting"):
        arm = arm_column(lake, "forecasting")
        made.append(ANSWERED.format(decisions=lake.scan("decisions", "forecasting"), arm=arm, **place))
    return [FORECAST_QUALITY.format(made=" union all ".join(made))] if made else []
