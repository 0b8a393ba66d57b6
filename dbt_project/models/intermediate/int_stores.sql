{{ config(materialized='table') }}

with

stores as (
    select * from {{ ref('stg_stores') }}
),

lines as (
    select * from {{ ref('int_pos_lines') }}
),

stock as (
    select * from {{ ref('stg_stock_levels') }}
),

prices as (
    select * from {{ ref('stg_price_list') }}
),

promotions as (
    select * from {{ ref('stg_promotions') }}
),

seen as (
    select
        store_id,
        min(currency) as currency
    from lines
    group by store_id
    union all
    select
        store_id,
        cast(null as varchar) as currency
    from stock
    group by store_id
),

inferred as (
    select
        seen.store_id,
        min(seen.currency) as currency
    from seen
    left join stores on seen.store_id = stores.store_id
    where stores.store_id is null
    group by seen.store_id
),

countries as (
    select country from prices
    union all
    select country from promotions
),

-- a retailer that never says where its stores are, but plans for one country only, has them there
only_country as (
    select case when count(distinct country) = 1 then min(country) end as country
    from countries
)

select
    store_id,
    country,
    currency,
    false as is_inferred
from stores
union all
select
    inferred.store_id,
    only_country.country,
    inferred.currency,
    true as is_inferred
from inferred
cross join only_country
