with

source as (
    select * from {{ source('bronze', 'stores') }}
),

newest as (
    select
        store_id,
        name,
        country,
        region,
        city,
        time_zone,
        currency,
        channel,
        fiscal_calendar,
        day_ends,
        opened_on,
        cast(size_sqm as integer) as size_sqm,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['store_id']) }}
)

select * from newest
