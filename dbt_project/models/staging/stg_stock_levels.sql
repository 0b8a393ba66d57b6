with

source as (
    select * from {{ source('bronze', 'stock_levels') }}
),

newest as (
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
    {{ newest_per(['store_id', 'sku', 'business_date']) }}
)

select * from newest
