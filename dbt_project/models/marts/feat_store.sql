{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}'
) }}

with

sales as (
    select * from {{ ref('fct_sales_daily') }}
    where {{ in_selected_days(before=27) }}
),

stores as (
    select * from {{ ref('dim_store') }}
),

weather as (
    select * from {{ ref('stg_weather') }}
    where {{ in_selected_days(before=27) }}
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

facts as (
    select
        sales.store_id,
        sales.business_date,
        local_days.day_end,
        {{ known_at('sales.last_delivered_at', 'local_days.day_end') }} as known_at,
        cast(round(sales.gross_units * 1000) as bigint) as units,
        sales.gross_amount,
        cast(coalesce(sales.on_promotion, false) as integer) as on_promotion,
        cast(coalesce(sales.is_stocked_out, false) as integer) as stocked_out
    from sales
    inner join local_days
        on sales.store_id = local_days.store_id and sales.business_date = local_days.business_date
),

store_days as (
    select
        store_id,
        business_date,
        business_date - date '2000-01-01' as day_no,
        max(day_end) as day_end,
        max(known_at) as known_at,
        sum(units) as units,
        sum(gross_amount) as gross_amount,
        count(*) as products,
        sum(on_promotion) as promoted,
        sum(stocked_out) as stocked_out
    from facts
    group by store_id, business_date
),

with_weather as (
    select
        store_days.* exclude (known_at),
        weather.temp_max_c,
        weather.precipitation_mm,
        greatest(store_days.known_at, {{ known_at('weather.delivered_at', 'store_days.day_end') }}) as known_at
    from store_days
    left join weather
        on store_days.store_id = weather.store_id and store_days.business_date = weather.business_date
),

windows as (
    select
        store_id,
        business_date,
        day_end as event_timestamp,
        temp_max_c,
        precipitation_mm,
        max(known_at) over last_28 as created_timestamp,
        avg(units) over last_7 as units_mean_7,
        avg(units) over last_28 as units_mean_28,
        sum(gross_amount) over last_28 as amount_28,
        count(*) over last_28 as days_28,
        avg(products) over last_28 as products_mean_28,
        sum(products) over last_28 as products_28,
        sum(promoted) over last_28 as promoted_28,
        sum(stocked_out) over last_28 as stocked_out_28,
        -- Tenths of a degree are integers, whose sums do not depend on their order.
        avg(cast(round(temp_max_c * 10) as bigint)) over last_7 as temp_tenths_7
    from with_weather
    window
        last_7 as (partition by store_id order by day_no range between 6 preceding and current row),
        last_28 as (partition by store_id order by day_no range between 27 preceding and current row)
),

final as (
    select
        store_id,
        business_date,
        event_timestamp,
        created_timestamp,
        units_mean_7 / 1000.0 as store_units_mean_7,
        units_mean_28 / 1000.0 as store_units_mean_28,
        units_mean_7 / nullif(units_mean_28, 0) as store_trend,
        cast(amount_28 as double) / days_28 as store_revenue_mean_28,
        products_mean_28 as store_products_mean_28,
        promoted_28 / products_28 as store_promo_share_28,
        stocked_out_28 / products_28 as store_stockout_share_28,
        cast(temp_max_c as double) as temp_max_c,
        temp_tenths_7 / 10.0 as temp_max_mean_7,
        cast(precipitation_mm as double) as precipitation_mm
    from windows
    where {{ in_selected_days() }}
)

select * from final
