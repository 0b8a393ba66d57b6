{{ config(materialized='table') }}

with

promotions as (
    select * from {{ ref('stg_promotions') }}
),

-- a promotion without an end is often written as one that ends in the year 9999
last_day as (
    select max(calendar_date) as calendar_date from {{ ref('stg_retail_calendar') }}
),

days as (
    select
        promotions.country,
        promotions.sku,
        promotions.promo_code,
        promotions.discount_pct,
        promotions.delivered_at,
        {{ each_day('promotions.starts_on', 'least(promotions.ends_on, last_day.calendar_date)') }} as promotion_date
    from promotions
    cross join last_day
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
