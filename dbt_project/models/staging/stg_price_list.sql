with

source as (
    select * from {{ source('bronze', 'price_list') }}
),

renamed as (
    select
        country,
        sku,
        effective_on,
        list_price,
        unit_cost,
        currency,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
)

select * from renamed
