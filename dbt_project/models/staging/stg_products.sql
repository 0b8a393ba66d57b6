with

source as (
    select * from {{ source('bronze', 'products') }}
),

newest as (
    select
        sku,
        country,
        name,
        department,
        category,
        brand,
        colour,
        pack_size,
        unit,
        price_family,
        launched_on,
        discontinued_on,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['sku', 'country']) }}
)

select * from newest
