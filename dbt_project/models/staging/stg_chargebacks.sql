with

source as (
    select * from {{ source('bronze', 'chargebacks') }}
),

renamed as (
    select
        payment_id,
        reported_on,
        reason,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
)

select * from renamed
