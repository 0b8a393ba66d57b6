with

source as (
    select * from {{ source('bronze', 'click_events') }}
),

renamed as (
    select
        event_id,
        session_id,
        customer_id,
        store_id,
        event_type,
        sku,
        query,
        cast(occurred_at as timestamp) as occurred_at,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    where {{ not_held('click_events') }}
)

select * from renamed
