{{ config(materialized='table') }}

with

rates as (
    select * from {{ ref('stg_exchange_rates') }}
),

lines as (
    select * from {{ ref('int_pos_lines') }}
),

days as (
    select distinct calendar_date from {{ ref('stg_retail_calendar') }}
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

periods as (
    select
        currency,
        reporting_currency,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by currency order by valid_from),
            date '9999-12-31'
        ) as valid_before,
        exchange_rate,
        delivered_at
    from converted
),

-- one row a day, so that millions of facts find theirs by equality
by_day as (
    select
        periods.currency,
        periods.reporting_currency,
        days.calendar_date as rate_date,
        periods.exchange_rate,
        periods.delivered_at
    from periods
    inner join days
        on
            periods.valid_from <= days.calendar_date
            and periods.valid_before > days.calendar_date
),

identity as (
    select
        reporting.reporting_currency as currency,
        reporting.reporting_currency,
        days.calendar_date as rate_date,
        cast(1 as decimal(18, 8)) as exchange_rate,
        cast(null as timestamp) as delivered_at
    from reporting
    cross join days
),

unioned as (
    select * from by_day
    union all
    select * from identity
)

select * from unioned
