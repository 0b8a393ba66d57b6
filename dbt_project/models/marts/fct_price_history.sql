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

first_listed as (
    select
        store_id,
        sku,
        min(valid_from) as listed_from
    from listed
    group by store_id, sku
),

-- without a list, the price on the shelf is what the lines of the till say, on days when something was sold
observed as (
    select
        sales.store_id,
        sales.sku,
        sales.business_date,
        sales.currency,
        sales.list_price,
        first_listed.listed_from,
        lag(sales.list_price) over (
            partition by sales.store_id, sales.sku
            order by sales.business_date
        ) as previous_list_price
    from sales
    left join first_listed
        on
            sales.store_id = first_listed.store_id
            and sales.sku = first_listed.sku
    where
        sales.gross_units > 0
        and sales.list_price is not null
        and coalesce(sales.business_date < first_listed.listed_from, true)
),

changed as (
    select
        store_id,
        sku,
        business_date as valid_from,
        coalesce(
            lead(business_date) over (partition by store_id, sku order by business_date),
            listed_from,
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
