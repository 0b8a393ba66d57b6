{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook='{{ insert_other_slices() }}'
) }}

{%- set weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] %}
{%- set lags = [7, 14, 28] %}

with

-- The sales are named in each place and not imported once: DuckDB would keep a copy of all that is used more than once.
stores as (
    select * from {{ ref('dim_store') }}
),

local_days as (
    select
        sales.store_id,
        sales.business_date,
        {{ day_end('sales.business_date', 'any_value(stores.time_zone)', 'any_value(stores.day_ends)') }} as day_end
    from {{ ref('fct_sales_daily') }} as sales
    left join stores on sales.store_id = stores.store_id
    where {{ in_selected_days('sales.business_date', before=55) }}
    group by sales.store_id, sales.business_date
),

-- A store without any row on a day was closed, or its file is not here yet: neither is a day of no demand.
open_days as (
    select
        sales.store_id,
        sales.business_date,
        sales.business_date - date '2000-01-01' as day_no,
        isodow(sales.business_date) as weekday,
        max(local_days.day_end) as day_end,
        max({{ known_at('sales.last_delivered_at', 'local_days.day_end') }}) as known_at
    from {{ ref('fct_sales_daily') }} as sales
    inner join local_days
        on sales.store_id = local_days.store_id and sales.business_date = local_days.business_date
    where {{ in_selected_days('sales.business_date', before=55) }}
    group by sales.store_id, sales.business_date
),

-- Units are counted in thousandths: sums of integers do not depend on their order, so that a day which is rebuilt
-- alone gets exactly the numbers of a full rebuild.
facts as (
    select
        sales.store_id,
        sales.sku,
        sales.business_date,
        sales.business_date - date '2000-01-01' as day_no,
        isodow(sales.business_date) as weekday,
        cast(round(sales.gross_units * 1000) as bigint) as units,
        cast(round(sales.returned_units * 1000) as bigint) as returned,
        sales.gross_amount,
        sales.receipts,
        cast(coalesce(sales.on_promotion, false) as integer) as on_promotion,
        cast(coalesce(sales.is_stocked_out, false) as integer) as stocked_out,
        case when not coalesce(sales.is_stocked_out, false) then cast(round(sales.gross_units * 1000) as bigint) end
            as demand,
        coalesce(sales.discount_share, 0) as discount_share,
        sales.list_price,
        sales.unit_cost,
        sales.competitor_price,
        sales.on_hand,
        local_days.day_end,
        {{ known_at('sales.last_delivered_at', 'local_days.day_end') }} as known_at
    from {{ ref('fct_sales_daily') }} as sales
    inner join local_days
        on sales.store_id = local_days.store_id and sales.business_date = local_days.business_date
    where
        {{ in_selected_days('sales.business_date', before=55) }}
        and {{ in_slice(ref('fct_sales_daily'), ['sales.store_id', 'sales.sku'], before=55) }}
),

trading_days as (
    select
        store_id,
        business_date,
        weekday,
        day_end,
        known_at,
        count(*) over so_far as opened,
        {% for weekday in weekdays -%}
            count_if(weekday = {{ loop.index }}) over so_far as opened_{{ weekday }},
        {% endfor -%}
        count(*) over (
            partition by store_id order by day_no range between 6 preceding and current row
        ) as opened_7,
        count(*) over (
            partition by store_id order by day_no range between 27 preceding and current row
        ) as opened_28
    from open_days
    window so_far as (partition by store_id order by day_no rows unbounded preceding)
),

{{ feature_gaps('facts', ['store_id', 'sku'], 'trading_days', ['store_id']) }},

-- A day without a row is a day of no units: it adds nothing to a sum, and the trading days count it. What a window
-- says never depends on which empty days got a row, so that a touched day changes 56 days and not 112.
dense as (
    select
        store_id,
        sku,
        business_date,
        day_no,
        weekday,
        units,
        returned,
        gross_amount,
        receipts,
        on_promotion,
        stocked_out,
        demand,
        discount_share,
        list_price,
        unit_cost,
        competitor_price,
        on_hand,
        known_at,
        business_date as seen_on
    from facts
    union all
    select
        store_id,
        sku,
        business_date,
        business_date - date '2000-01-01' as day_no,
        isodow(business_date) as weekday,
        0 as units,
        null as returned,
        null as gross_amount,
        null as receipts,
        0 as on_promotion,
        null as stocked_out,
        null as demand,
        0 as discount_share,
        null as list_price,
        null as unit_cost,
        null as competitor_price,
        null as on_hand,
        known_at,
        null as seen_on
    from gaps
),

windows as (
    select
        store_id,
        sku,
        business_date,
        units,
        on_promotion,
        discount_share,
        competitor_price,
        on_hand,
        {% for days in lags -%}
            max(units) over (
                by_key range between {{ days - 1 }} preceding and {{ days - 1 }} preceding
            ) as units_{{ days }},
        {% endfor -%}
        sum(demand) over last_7 as demand_7,
        sum(stocked_out) over last_7 as stocked_out_7,
        sum(demand) over last_28 as demand_28,
        sum(cast(demand as hugeint) * demand) over last_28 as squares_28,
        sum(cast(demand > 0 as integer)) over last_28 as sale_days_28,
        sum(on_promotion) over last_28 as promo_days_28,
        sum(stocked_out) over last_28 as stocked_out_28,
        sum(units) over last_28 as sold_28,
        sum(returned) over last_28 as returned_28,
        sum(receipts) over last_28 as receipts_28,
        sum(gross_amount) over last_28 as amount_28,
        {% for weekday in weekdays -%}
            sum(case when weekday = {{ loop.index }} then demand end) over last_56 as demand_{{ weekday }},
        {% endfor -%}
        -- Seven counts of at most eight days each, one byte apart: one window instead of seven.
        sum(stocked_out * (cast(1 as bigint) << (8 * (weekday - 1)))) over last_56 as stocked_out_bytes,
        last_value(list_price ignore nulls) over last_56 as list_price,
        last_value(unit_cost ignore nulls) over last_56 as unit_cost,
        max(case when units > 0 then day_no end) over last_56 - day_no as sale_offset,
        min(seen_on) over last_56 as first_seen_on,
        count(seen_on) over last_56 as active_days_56,
        greatest(max(case when seen_on is not null then known_at end) over last_56, known_at) as created_timestamp
    from dense
    window
        by_key as (partition by store_id, sku order by day_no),
        last_7 as (partition by store_id, sku order by day_no range between 6 preceding and current row),
        last_28 as (partition by store_id, sku order by day_no range between 27 preceding and current row),
        last_56 as (partition by store_id, sku order by day_no range between 55 preceding and current row)
),

-- How many days each window counts: trading days since the product was first seen, less those on which it was out of
-- stock and nobody can say what would have sold. Every row has both days; inner joins would be put in another order,
-- and the pairs of all days of a store be made first.
counted as (
    select
        windows.*,
        today.day_end as event_timestamp,
        today.weekday,
        least(today.opened_7, today.opened - first_seen.opened + 1) as opened_7,
        least(today.opened_28, today.opened - first_seen.opened + 1) as opened_28,
        {% for weekday in weekdays -%}
            today.opened_{{ weekday }} - first_seen.opened_{{ weekday }}
            + cast(first_seen.weekday = {{ loop.index }} as integer)
            - ((cast(coalesce(windows.stocked_out_bytes, 0) as bigint) >> {{ 8 * loop.index0 }}) & 255)
                as days_{{ weekday }},
        {% endfor -%}
        cast(windows.amount_28 as double) / nullif(windows.sold_28 / 1000.0, 0) as unit_price_mean_28
    from windows
    left join trading_days as today
        on windows.store_id = today.store_id and windows.business_date = today.business_date
    left join trading_days as first_seen
        on windows.store_id = first_seen.store_id and windows.first_seen_on = first_seen.business_date
    where {{ in_selected_days('windows.business_date') }}
),

means as (
    select
        *,
        {% for weekday in weekdays -%}
            coalesce(demand_{{ weekday }}, 0) / nullif(days_{{ weekday }}, 0) / 1000.0 as units_{{ weekday }}_mean_8,
        {% endfor -%}
        opened_28 - coalesce(stocked_out_28, 0) as days_28,
        cast(demand_28 as double) * demand_28 / nullif(opened_28 - coalesce(stocked_out_28, 0), 0) as squared_mean_28
    from counted
),

final as (
    select
        store_id,
        sku,
        business_date,
        event_timestamp,
        created_timestamp,
        units / 1000.0 as units_lag_1,
        {% for days in lags -%}
            case when first_seen_on < business_date - {{ days - 2 }} then coalesce(units_{{ days }}, 0) end / 1000.0
                as units_lag_{{ days }},
        {% endfor -%}
        coalesce(demand_7, 0) / nullif(opened_7 - coalesce(stocked_out_7, 0), 0) / 1000.0 as units_mean_7,
        coalesce(demand_28, 0) / nullif(days_28, 0) / 1000.0 as units_mean_28,
        (
            0
            {% for weekday in weekdays -%}
                + coalesce(demand_{{ weekday }}, 0)
            {% endfor -%}
        ) / nullif(
            0
            {% for weekday in weekdays -%}
                + days_{{ weekday }}
            {% endfor -%}
            , 0
        ) / 1000.0 as units_mean_56,
        sqrt(greatest(squares_28 - squared_mean_28, 0) / nullif(days_28 - 1, 0)) / 1000.0 as units_std_28,
        case weekday
            {% for weekday in weekdays -%}
                when {{ loop.index }} then units_{{ weekday }}_mean_8
            {% endfor -%}
        end as units_weekday_mean_8,
        {% for weekday in weekdays -%}
            units_{{ weekday }}_mean_8,
        {% endfor -%}
        coalesce(sale_days_28, 0) / nullif(days_28, 0) as nonzero_share_28,
        promo_days_28 / opened_28 as promo_share_28,
        coalesce(stocked_out_28, 0) / opened_28 as stockout_share_28,
        returned_28 / nullif(sold_28, 0) as return_share_28,
        coalesce(receipts_28, 0) / opened_28 as receipts_mean_28,
        coalesce(cast(amount_28 as double), 0) / opened_28 as revenue_mean_28,
        cast(list_price as double) as list_price,
        unit_price_mean_28,
        cast(list_price as double) / nullif(unit_price_mean_28, 0) as price_ratio_28,
        cast(discount_share as double) as discount_share,
        cast(unit_cost as double) as unit_cost,
        cast(competitor_price as double) as competitor_price,
        cast(competitor_price as double) / nullif(cast(list_price as double), 0) as competitor_ratio,
        cast(on_hand as double) as on_hand,
        cast(on_promotion as bigint) as on_promotion,
        cast(coalesce(-sale_offset, 56) as bigint) as days_since_sale,
        cast(active_days_56 as bigint) as active_days_56
    from means
)

select * from final
