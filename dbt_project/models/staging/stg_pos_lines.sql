with

source as (
    select * from {{ source('bronze', 'pos_lines') }}
),

renamed as (
    select
        store_id,
        receipt_id,
        line_no,
        cast(sold_at as timestamp) as sold_at,
        sku,
        quantity,
        unit_price,
        list_price,
        promo_code,
        customer_id,
        payment_id,
        currency,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    where {{ not_held('pos_lines') }}
)

select * from renamed
