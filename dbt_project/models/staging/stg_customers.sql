with

source as (
    select * from {{ source('bronze', 'customers') }}
),

newest as (
    select
        customer_id,
        country,
        home_store_id,
        joined_on,
        loyalty_tier,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['customer_id']) }}
)

select * from newest
