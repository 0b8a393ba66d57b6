with

source as (
    select * from {{ source('bronze', 'stock_levels') }}
),

renamed as (
    select
        store_id,
        sku,
        counted_on,
        on_hand,
        on_order,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    where {{ not_held('stock_levels') }}
)

select * from renamed
