{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}'
) }}

with

-- a session belongs to the day it began on; the days before and after show where it began and how it went on
events as (
    select * from {{ ref('stg_click_events') }}
    where {{ in_selected_days(before=1, after=1) }}
),

sessions as (
    select
        session_id,
        min(store_id) as store_id,
        max(customer_id) as customer_id,
        min(business_date) as business_date,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        cast(count(*) as integer) as events,
        cast(count(case when event_type = 'view' then 1 end) as integer) as views,
        cast(count(case when event_type = 'search' then 1 end) as integer) as searches,
        cast(count(case when event_type = 'add_to_cart' then 1 end) as integer) as carts,
        cast(count(case when event_type = 'purchase' then 1 end) as integer) as purchases,
        cast(count(distinct case when event_type = 'view' then sku end) as integer) as skus_viewed,
        count(case when event_type = 'purchase' then 1 end) > 0 as converted
    from events
    group by session_id
)

select * from sessions
where {{ in_selected_days() }}
