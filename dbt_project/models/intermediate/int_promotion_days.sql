{{ config(materialized='table') }}

with

promotions as (
    select * from {{ ref('stg_promotions') }}
),

days as (
    select
        country,
        sku,
        promo_code,
        discount_pct,
        delivered_at,
        {{ each_day('starts_on', 'ends_on') }} as promotion_date
    from promotions
),

-- where promotions overlap the customer gets the deeper one
deepest as (
    select
        country,
        sku,
        promotion_date,
        promo_code,
        discount_pct,
        delivered_at
    from days
    qualify
        row_number() over (
            partition by country, sku, promotion_date
            order by discount_pct desc, promo_code asc
        ) = 1
)

select * from deepest
