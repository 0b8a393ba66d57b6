with

source as (
    select * from {{ source('bronze', 'weather') }}
),

newest as (
    select
        store_id,
        observed_on,
        temp_max_c,
        temp_min_c,
        precipitation_mm,
        row_id,
        cast(delivered_at as timestamp) as delivered_at,
        business_date
    from source
    {{ newest_per(['store_id', 'business_date']) }}
)

select * from newest
