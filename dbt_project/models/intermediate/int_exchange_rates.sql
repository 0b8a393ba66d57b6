{{ config(materialized='table') }}

with

rates as (
    select * from {{ ref('stg_exchange_rates') }}
),

lines as (
    select * from {{ ref('int_pos_lines') }}
),

currencies as (
    select
        count(distinct currency) as currencies,
        min(currency) as first_currency
    from lines
),

recorded as (
    select count(*) as recorded_rates from rates
),

reporting as (
    select
        case
            when recorded.recorded_rates = 0 and currencies.currencies = 1 then currencies.first_currency
            else '{{ var("reporting_currency") }}'
        end as reporting_currency
    from currencies
    cross join recorded
),

converted as (
    select
        rates.currency,
        reporting.reporting_currency,
        rates.rate_date as valid_from,
        cast(rates.rate_to_usd / in_reporting.rate_to_usd as decimal(18, 8)) as exchange_rate,
        rates.delivered_at
    from rates
    cross join reporting
    inner join rates as in_reporting
        on
            rates.rate_date = in_reporting.rate_date
            and reporting.reporting_currency = in_reporting.currency
    where rates.currency <> reporting.reporting_currency
),

with_end as (
    select
        currency,
        reporting_currency,
        valid_from,
        lead(valid_from) over (partition by currency order by valid_from) as valid_before,
        exchange_rate,
        delivered_at
    from converted
),

identity as (
    select
        reporting_currency as currency,
        reporting_currency,
        date '1900-01-01' as valid_from,
        cast(null as date) as valid_before,
        cast(1 as decimal(18, 8)) as exchange_rate,
        cast(null as timestamp) as delivered_at
    from reporting
),

unioned as (
    select * from with_end
    union all
    select * from identity
)

select
    currency,
    reporting_currency,
    valid_from,
    coalesce(valid_before, date '9999-12-31') as valid_before,
    exchange_rate,
    delivered_at
from unioned
