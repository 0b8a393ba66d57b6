{{ config(materialized='table') }}

with

prices as (
    select * from {{ ref('stg_price_list') }}
),

with_end as (
    select
        country,
        sku,
        effective_on as valid_from,
        lead(effective_on) over (partition by country, sku order by effective_on) as valid_before,
        list_price,
        lag(list_price) over (partition by country, sku order by effective_on) as previous_list_price,
        unit_cost,
        currency,
        delivered_at
    from prices
)

select
    country,
    sku,
    valid_from,
    coalesce(valid_before, date '9999-12-31') as valid_before,
    list_price,
    previous_list_price,
    unit_cost,
    currency,
    delivered_at
from with_end
