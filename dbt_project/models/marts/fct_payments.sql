{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}'
) }}

with

payments as (
    select * from {{ ref('stg_payments') }}
    where {{ in_selected_days() }}
),

chargebacks as (
    select * from {{ ref('stg_chargebacks') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

-- the bank may report a payment more than once; the label became known with the first report
first_report as (
    select
        payment_id,
        reported_on,
        reason
    from chargebacks
    qualify row_number() over (partition by payment_id order by reported_on asc, row_id asc) = 1
)

select
    payments.payment_id,
    payments.receipt_id,
    payments.store_id,
    payments.customer_id,
    payments.card_token,
    cast(payments.amount as decimal(18, 2)) as amount,
    payments.currency,
    cast(round(payments.amount * rates.exchange_rate, 2) as decimal(18, 2)) as amount_reporting,
    rates.exchange_rate,
    payments.method,
    payments.paid_at,
    payments.business_date,
    payments.ip_country,
    payments.device_id,
    payments.is_online,
    first_report.reported_on as chargeback_reported_on,
    first_report.reason as chargeback_reason
from payments
left join first_report on payments.payment_id = first_report.payment_id
left join rates
    on
        payments.currency = rates.currency
        and payments.business_date = rates.rate_date
