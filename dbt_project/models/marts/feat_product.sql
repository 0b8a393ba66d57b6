{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}'
) }}

with

sales as (
    select * from {{ ref('fct_sales_daily') }}
    where {{ in_selected_days(before=55) }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

local_days as (
    select
        sales.store_id,
        sales.business_date,
        {{ day_end('sales.business_date', 'any_value(stores.time_zone)', 'any_value(stores.day_ends)') }} as day_end
    from sales
    left join stores on sales.store_id = stores.store_id
    group by sales.store_id, sales.business_date
),

sold as (
    select
        sales.store_id,
        sales.sku,
        sales.business_date,
        local_days.day_end,
        {{ known_at('sales.last_delivered_at', 'local_days.day_end') }} as known_at,
        cast(round(sales.gross_units * 1000) as bigint) as units,
        cast(coalesce(sales.on_promotion, false) as integer) as on_promotion
    from sales
    inner join local_days
        on sales.store_id = local_days.store_id and sales.business_date = local_days.business_date
),

-- A product's day ends when the last of the retailer's stores closes it.
trading_days as (
    select
        business_date,
        max(day_end) as day_end,
        max(known_at) as known_at
    from sold
    group by business_date
),

facts as (
    select
        sku,
        business_date,
        business_date - date '2000-01-01' as day_no,
        sum(units) as units,
        count(*) as stores,
        count_if(units > 0) as selling_stores,
        sum(on_promotion) as promoted,
        max(known_at) as known_at
    from sold
    group by sku, business_date
),

{{ feature_gaps('facts', ['sku'], 'trading_days', []) }},

dense as (
    select
        sku,
        business_date,
        day_no,
        units,
        stores,
        selling_stores,
        promoted,
        known_at,
        true as is_seen
    from facts
    union all
    select
        sku,
        business_date,
        business_date - date '2000-01-01' as day_no,
        null as units,
        null as stores,
        null as selling_stores,
        null as promoted,
        known_at,
        false as is_seen
    from gaps
),

windows as (
    select
        sku,
        business_date,
        sum(units) over last_7 as units_7,
        sum(stores) over last_7 as stores_7,
        sum(units) over last_28 as units_28,
        sum(stores) over last_28 as stores_28,
        sum(selling_stores) over last_28 as selling_28,
        max(stores) over last_28 as most_stores_28,
        sum(promoted) over last_28 as promoted_28,
        greatest(max(case when is_seen then known_at end) over last_28, known_at) as created_timestamp
    from dense
    window
        last_7 as (partition by sku order by day_no range between 6 preceding and current row),
        last_28 as (partition by sku order by day_no range between 27 preceding and current row)
),

final as (
    select
        windows.sku,
        windows.business_date,
        trading_days.day_end as event_timestamp,
        windows.created_timestamp,
        coalesce(windows.units_7, 0) / nullif(windows.stores_7, 0) / 1000.0 as product_units_mean_7,
        coalesce(windows.units_28, 0) / nullif(windows.stores_28, 0) / 1000.0 as product_units_mean_28,
        (windows.units_7 / nullif(windows.stores_7, 0)) / nullif(windows.units_28 / nullif(windows.stores_28, 0), 0)
            as product_trend,
        windows.selling_28 / nullif(windows.stores_28, 0) as product_selling_share_28,
        windows.promoted_28 / nullif(windows.stores_28, 0) as product_promo_share_28,
        cast(coalesce(windows.most_stores_28, 0) as bigint) as product_stores_28
    from windows
    inner join trading_days on windows.business_date = trading_days.business_date
    where {{ in_selected_days('windows.business_date') }}
)

select * from final
