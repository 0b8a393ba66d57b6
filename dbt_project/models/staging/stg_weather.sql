with

source as (
    select * from {{ source('bronze', 'weather') }}
),

renamed as (
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
)

select * from renamed
