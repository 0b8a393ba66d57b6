with

stores as (
    select * from {{ ref('int_stores') }}
),

list_prices as (
    select * from {{ ref('int_list_prices') }}
),

sales as (
    select * from {{ ref('fct_sales_daily') }}
),

listed as (
    select
        stores.store_id,
        list_prices.sku,
        list_prices.valid_from,
        list_prices.valid_before,
        list_prices.list_price,
        list_prices.unit_cost,
        list_prices.currency,
        list_prices.previous_list_price,
        'price_list' as source
    from list_prices
    inner join stores on list_prices.country = stores.country
),

covered as (
    select distinct
        store_id,
        sku
    from listed
),

-- without a list, the price on the shelf is what the till recorded on days when something was sold
observed as (
    select
        sales.store_id,
        sales.sku,
        sales.business_date,
        sales.currency,
        sales.list_price,
        lag(sales.list_price) over (
            partition by sales.store_id, sales.sku
            order by sales.business_date
        ) as previous_list_price
    from sales
    left join covered
        on
            sales.store_id = covered.store_id
            and sales.sku = covered.sku
    where
        covered.sku is null
        and sales.gross_units > 0
        and sales.list_price is not null
),

changed as (
    select
        store_id,
        sku,
        business_date as valid_from,
        coalesce(
            lead(business_date) over (partition by store_id, sku order by business_date),
            date '9999-12-31'
        ) as valid_before,
        list_price,
        cast(null as decimal(12, 4)) as unit_cost,
        currency,
        previous_list_price,
        'observed' as source
    from observed
    where previous_list_price is null or previous_list_price <> list_price
),

unioned as (
    select * from listed
    union all
    select * from changed
)

select
    store_id,
    sku,
    valid_from,
    case when valid_before < date '9999-12-31' then valid_before - 1 end as valid_to,
    list_price,
    unit_cost,
    currency,
    previous_list_price,
    source
from unioned
