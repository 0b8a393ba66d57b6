with

source as (
    select * from {{ source('bronze', 'exchange_rates') }}
),

renamed as (
    select
        rate_date,
        currency,
        rate_to_usd,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
)

select * from renamed
