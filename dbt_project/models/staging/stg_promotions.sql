with

source as (
    select * from {{ source('bronze', 'promotions') }}
),

renamed as (
    select
        promo_code,
        country,
        sku,
        starts_on,
        ends_on,
        discount_pct,
        announced_on,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
)

select * from renamed
