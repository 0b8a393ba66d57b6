{#- A price is believed so long after it was observed; a new one changes the facts of as many days. -#}
{%- set max_age_days = 14 -%}
{{ config(materialized='table', meta={'days_after': max_age_days}) }}

with

observations as (
    select * from {{ ref('stg_competitor_prices') }}
),

lowest as (
    select
        country,
        sku,
        currency,
        observed_on as valid_from,
        min(price) as lowest_price,
        max(delivered_at) as delivered_at
    from observations
    group by country, sku, currency, observed_on
),

periods as (
    select
        country,
        sku,
        currency,
        valid_from,
        least(
            coalesce(
                lead(valid_from) over (partition by country, sku, currency order by valid_from),
                date '9999-12-31'
            ),
            valid_from + {{ max_age_days + 1 }}
        ) as valid_before,
        lowest_price,
        delivered_at
    from lowest
)

-- one row a day, so that millions of facts find theirs by equality
select
    country,
    sku,
    currency,
    {{ each_day('valid_from', 'valid_before - 1') }} as price_date,
    lowest_price,
    delivered_at
from periods
