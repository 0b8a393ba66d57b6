with

catalogue as (
    select * from {{ ref('stg_products') }}
),

sales as (
    select * from {{ ref('fct_sales_daily') }}
),

described as (
    select
        sku,
        name,
        department,
        category,
        brand,
        colour,
        pack_size,
        unit,
        price_family,
        launched_on,
        discontinued_on,
        false as is_inferred
    from catalogue
    qualify
        row_number() over (
            partition by sku
            order by
                country in ({{ listed(var('catalogue_countries')) }}) desc,
                country desc
        ) = 1
),

sold as (
    select distinct sku from sales
),

inferred as (
    select
        sold.sku,
        cast(null as varchar) as name,
        cast(null as varchar) as department,
        cast(null as varchar) as category,
        cast(null as varchar) as brand,
        cast(null as varchar) as colour,
        cast(null as double) as pack_size,
        cast(null as varchar) as unit,
        cast(null as varchar) as price_family,
        cast(null as date) as launched_on,
        cast(null as date) as discontinued_on,
        true as is_inferred
    from sold
    left join described on sold.sku = described.sku
    where described.sku is null
),

unioned as (
    select * from described
    union all
    select * from inferred
)

select * from unioned
