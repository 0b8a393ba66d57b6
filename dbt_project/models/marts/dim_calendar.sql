with

retail_calendar as (
    select * from {{ ref('stg_retail_calendar') }}
)

select * from retail_calendar
