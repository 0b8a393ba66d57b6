with

source as (
    select * from {{ source('bronze', 'chargebacks') }}
),

newest as (
    select
        payment_id,
        reported_on,
        reason,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['payment_id', 'business_date']) }}
)

select * from newest
