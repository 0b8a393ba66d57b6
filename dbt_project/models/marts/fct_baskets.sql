{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook="{{ insert_other_stretches(ref('int_pos_lines')) }}"
) }}

with

lines as (
    select * from {{ ref('int_pos_lines') }}
    where {{ in_selected_days() }} and {{ in_stretch(ref('int_pos_lines')) }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

baskets as (
    select
        receipt_id,
        store_id,
        business_date,
        min(sold_at) as sold_at,
        max(customer_id) as customer_id,
        max(payment_id) as payment_id,
        cast(count(*) as integer) as lines,
        cast(sum(quantity) as double) as units,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount,
        cast(sum(returned_amount) as decimal(18, 2)) as returned_amount,
        cast(sum(gross_amount) - sum(returned_amount) as decimal(18, 2)) as net_amount,
        min(currency) as currency,
        cast(count(promo_code) as integer) as promo_lines,
        sum(gross_units) = 0 and sum(returned_units) > 0 as is_return
    from lines
    group by receipt_id, store_id, business_date
)

select
    baskets.receipt_id,
    baskets.store_id,
    baskets.business_date,
    baskets.sold_at,
    baskets.customer_id,
    baskets.payment_id,
    baskets.lines,
    baskets.units,
    baskets.gross_amount,
    baskets.returned_amount,
    baskets.net_amount,
    baskets.currency,
    rates.exchange_rate,
    cast(round(baskets.net_amount * rates.exchange_rate, 2) as decimal(18, 2)) as net_amount_reporting,
    baskets.promo_lines,
    baskets.is_return
from baskets
left join rates
    on
        baskets.currency = rates.currency
        and baskets.business_date = rates.rate_date
