with

source as (
    select * from {{ source('bronze', 'exchange_rates') }}
),

newest as (
    select
        rate_date,
        currency,
        rate_to_usd,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['rate_date', 'currency']) }}
)

select * from newest
