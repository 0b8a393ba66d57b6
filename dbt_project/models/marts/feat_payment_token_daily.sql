{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook='{{ insert_other_slices() }}'
) }}

{%- set one_slice = in_slice(ref('fct_payments'), ['card_token'], before=89) %}

with

payments as (
    select * from {{ ref('fct_payments') }}
    where card_token is not null and {{ in_selected_days(before=89) }} and {{ one_slice }}
),

deliveries as (
    select
        payment_id,
        business_date,
        delivered_at
    from {{ ref('stg_payments') }}
    where {{ in_selected_days(before=89) }}
),

-- A chargeback counts from the day it was reported, which is long after the payment it is about.
chargebacks as (
    select
        payment_id,
        reported_on,
        delivered_at
    from {{ ref('stg_chargebacks') }}
    qualify row_number() over (partition by payment_id order by reported_on, delivered_at) = 1
),

tokens as (
    select
        payment_id,
        store_id,
        card_token
    from {{ ref('fct_payments') }}
    where card_token is not null and {{ one_slice }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

reports as (
    select
        tokens.card_token,
        tokens.store_id,
        chargebacks.reported_on as business_date,
        chargebacks.delivered_at
    from chargebacks
    inner join tokens on chargebacks.payment_id = tokens.payment_id
    where {{ in_selected_days('chargebacks.reported_on', before=89) }}
),

events as (
    select
        payments.card_token,
        payments.store_id,
        payments.business_date,
        true as is_payment,
        false as is_chargeback,
        coalesce(payments.amount_reporting, payments.amount) as amount,
        coalesce(payments.is_online, false) as is_online,
        payments.device_id,
        payments.ip_country,
        deliveries.delivered_at
    from payments
    left join deliveries
        on payments.payment_id = deliveries.payment_id and payments.business_date = deliveries.business_date
    union all
    select
        card_token,
        store_id,
        business_date,
        false as is_payment,
        true as is_chargeback,
        null as amount,
        null as is_online,
        null as device_id,
        null as ip_country,
        delivered_at
    from reports
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

windows as (
    select
        card_token,
        business_date,
        is_payment,
        max(day_end) over today as event_timestamp,
        max(known_at) over last_90 as created_timestamp,
        {% for days in [1, 7, 28, 90] -%}
            count_if(is_payment) over last_{{ days }} as payments_{{ days }},
            sum(amount) over last_{{ days }} as amount_{{ days }},
        {% endfor -%}
        max(amount) over last_28 as amount_max_28,
        count_if(is_online) over last_28 as online_28,
        count(distinct device_id) over last_28 as devices_28,
        count(distinct ip_country) over last_28 as countries_28,
        count(distinct store_id) over last_28 as stores_28,
        count_if(is_chargeback) over last_90 as chargebacks_90
    from located
    window
        today as (partition by card_token order by day_no range between current row and current row),
        last_1 as (partition by card_token order by day_no range between current row and current row),
        last_7 as (partition by card_token order by day_no range between 6 preceding and current row),
        last_28 as (partition by card_token order by day_no range between 27 preceding and current row),
        last_90 as (partition by card_token order by day_no range between 89 preceding and current row)
),

-- All events of a day see the same windows, so any payment of the day stands for it.
final as (
    select
        card_token,
        business_date,
        max(event_timestamp) as event_timestamp,
        max(created_timestamp) as created_timestamp,
        {% for days in [1, 7, 28, 90] -%}
            cast(max(payments_{{ days }}) as bigint) as token_payments_{{ days }},
            cast(max(amount_{{ days }}) as double) as token_amount_{{ days }},
        {% endfor -%}
        cast(max(amount_max_28) as double) as token_amount_max_28,
        max(online_28) / max(payments_28) as token_online_share_28,
        cast(max(devices_28) as bigint) as token_devices_28,
        cast(max(countries_28) as bigint) as token_countries_28,
        cast(max(stores_28) as bigint) as token_stores_28,
        cast(max(chargebacks_90) as bigint) as token_chargebacks_90
    from windows
    where is_payment and {{ in_selected_days() }}
    group by card_token, business_date
)

select * from final
