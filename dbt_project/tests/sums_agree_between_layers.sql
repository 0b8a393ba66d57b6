{{ config(meta={'dagster': {'ref': {'name': 'fct_sales_daily'}}}) }}

-- Per currency, what the tills recorded is what the daily sales and the baskets add up to.
with

recorded as (
    select
        currency,
        sum(cast(round(quantity * unit_price, 2) as decimal(18, 2))) as net_amount
    from {{ ref('stg_pos_lines') }}
    where {{ in_run_days('fct_sales_daily') }}
    group by currency
),

sales as (
    select
        currency,
        sum(net_amount) as net_amount
    from {{ ref('fct_sales_daily') }}
    where source_rows > 0 and {{ in_run_days('fct_sales_daily') }}
    group by currency
),

baskets as (
    select
        currency,
        sum(net_amount) as net_amount
    from {{ ref('fct_baskets') }}
    where {{ in_run_days('fct_sales_daily') }}
    group by currency
),

currencies as (
    select currency from recorded
    union
    select currency from sales
    union
    select currency from baskets
)

select
    currencies.currency,
    recorded.net_amount as recorded_amount,
    sales.net_amount as sales_amount,
    baskets.net_amount as basket_amount
from currencies
left join recorded on currencies.currency = recorded.currency
left join sales on currencies.currency = sales.currency
left join baskets on currencies.currency = baskets.currency
where
    coalesce(recorded.net_amount, 0) <> coalesce(sales.net_amount, 0)
    or coalesce(recorded.net_amount, 0) <> coalesce(baskets.net_amount, 0)
