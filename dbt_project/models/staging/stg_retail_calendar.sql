with

source as (
    select * from {{ source('bronze', 'retail_calendar') }}
),

renamed as (
    select
        country,
        calendar_date,
        weekday,
        is_weekend,
        iso_year,
        iso_week,
        calendar_year,
        calendar_month,
        fiscal_year,
        fiscal_quarter,
        fiscal_period,
        fiscal_week,
        fiscal_week_start,
        holiday_name,
        is_holiday,
        is_black_friday_week,
        is_back_to_school,
        is_holiday_season
    from source
)

select * from renamed
