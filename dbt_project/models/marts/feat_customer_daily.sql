{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook='{{ insert_other_slices() }}'
) }}

{%- set one_slice = in_slice(ref('fct_baskets'), ['customer_id'], before=89) %}

with

baskets as (
    select * from {{ ref('fct_baskets') }}
    where customer_id is not null and {{ in_selected_days(before=89) }} and {{ one_slice }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where customer_id is not null and {{ in_selected_days(before=89) }} and {{ one_slice }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

lines as (
    select
        store_id,
        business_date,
        receipt_id,
        max(delivered_at) as delivered_at
    from {{ ref('int_pos_lines') }}
    where customer_id is not null and {{ in_selected_days(before=89) }} and {{ one_slice }}
    group by store_id, business_date, receipt_id
),

clicks as (
    select
        store_id,
        business_date,
        session_id,
        max(delivered_at) as delivered_at
    from {{ ref('stg_click_events') }}
    where customer_id is not null and {{ in_selected_days(before=89) }} and {{ one_slice }}
    group by store_id, business_date, session_id
),

events as (
    select
        baskets.customer_id,
        baskets.store_id,
        baskets.business_date,
        cast(not baskets.is_return as integer) as orders,
        cast(baskets.is_return as integer) as returns,
        cast(round(baskets.units * 1000) as bigint) as units,
        coalesce(baskets.net_amount_reporting, 0) as spend,
        baskets.promo_lines,
        baskets.lines,
        0 as sessions,
        0 as carts,
        lines.delivered_at
    from baskets
    left join lines
        on
            baskets.store_id = lines.store_id
            and baskets.business_date = lines.business_date
            and baskets.receipt_id = lines.receipt_id
    union all
    select
        sessions.customer_id,
        sessions.store_id,
        sessions.business_date,
        null as orders,
        null as returns,
        null as units,
        null as spend,
        null as promo_lines,
        null as lines,
        1 as sessions,
        cast(sessions.carts > 0 as integer) as carts,
        clicks.delivered_at
    from sessions
    left join clicks
        on
            sessions.store_id = clicks.store_id
            and sessions.business_date = clicks.business_date
            and sessions.session_id = clicks.session_id
),

located as (
    select
        events.*,
        events.business_date - date '2000-01-01' as day_no,
        {{ day_end('events.business_date', 'stores.time_zone', 'stores.day_ends') }} as day_end,
        {{ known_at(
            'events.delivered_at', day_end('events.business_date', 'stores.time_zone', 'stores.day_ends')
        ) }} as known_at
    from events
    left join stores on events.store_id = stores.store_id
),

-- One row per day of activity; a customer who shopped in two time zones is known when the later day ends.
customer_days as (
    select
        customer_id,
        business_date,
        day_no,
        max(day_end) as day_end,
        max(known_at) as known_at,
        sum(orders) as orders,
        sum(returns) as returns,
        sum(units) as units,
        sum(spend) as spend,
        sum(promo_lines) as promo_lines,
        sum(lines) as lines,
        sum(sessions) as sessions,
        sum(carts) as carts
    from located
    group by customer_id, business_date, day_no
),

windows as (
    select
        customer_id,
        business_date,
        day_end as event_timestamp,
        max(known_at) over last_90 as created_timestamp,
        {% for days in [7, 28, 90] -%}
            coalesce(sum(orders) over last_{{ days }}, 0) as orders_{{ days }},
            coalesce(sum(sessions) over last_{{ days }}, 0) as sessions_{{ days }},
            coalesce(sum(units) over last_{{ days }}, 0) as units_{{ days }},
            coalesce(sum(spend) over last_{{ days }}, 0) as spend_{{ days }},
        {% endfor -%}
        coalesce(sum(carts) over last_28, 0) as carts_28,
        coalesce(sum(returns) over last_90, 0) as returns_90,
        sum(promo_lines) over last_90 as promo_lines_90,
        sum(lines) over last_90 as lines_90,
        count(*) over last_90 as active_days_90
    from customer_days
    window
        last_7 as (partition by customer_id order by day_no range between 6 preceding and current row),
        last_28 as (partition by customer_id order by day_no range between 27 preceding and current row),
        last_90 as (partition by customer_id order by day_no range between 89 preceding and current row)
),

final as (
    select
        customer_id,
        business_date,
        event_timestamp,
        created_timestamp,
        {% for days in [7, 28, 90] -%}
            cast(orders_{{ days }} as bigint) as customer_orders_{{ days }},
            cast(sessions_{{ days }} as bigint) as customer_sessions_{{ days }},
            units_{{ days }} / 1000.0 as customer_units_{{ days }},
            cast(spend_{{ days }} as double) as customer_spend_{{ days }},
        {% endfor -%}
        cast(carts_28 as bigint) as customer_carts_28,
        cast(returns_90 as bigint) as customer_returns_90,
        cast(spend_90 as double) / nullif(orders_90, 0) as customer_basket_mean_90,
        promo_lines_90 / nullif(lines_90, 0) as customer_promo_share_90,
        cast(active_days_90 as bigint) as customer_active_days_90
    from windows
    where {{ in_selected_days() }}
)

select * from final
