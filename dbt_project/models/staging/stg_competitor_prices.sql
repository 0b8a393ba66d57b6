with

source as (
    select * from {{ source('bronze', 'competitor_prices') }}
),

renamed as (
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
)

select * from renamed
