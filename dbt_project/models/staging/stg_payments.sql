with

source as (
    select * from {{ source('bronze', 'payments') }}
),

renamed as (
    select
        payment_id,
        receipt_id,
        store_id,
        customer_id,
        card_token,
        amount,
        currency,
        method,
        cast(paid_at as timestamp) as paid_at,
        ip_country,
        device_id,
        is_online,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    where {{ not_held('payments') }}
)

select * from renamed
