with

source as (
    select * from {{ source('bronze', 'competitor_prices') }}
),

newest as (
    select
        country,
        competitor,
        sku,
        observed_on,
        price,
        currency,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['country', 'competitor', 'sku', 'currency', 'business_date']) }}
)

select * from newest
