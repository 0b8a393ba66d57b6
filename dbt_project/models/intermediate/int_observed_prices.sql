{#-
    What a price is learnt from, chosen by backtest (benchmarks/observed_price.py): the lines of six weeks, of which
    those of two weeks ago count half. A price that was not paid on the newest lines is left out once so long an absence
    is too unlikely by its share of the lines before: a shop that changes its price is followed after two lines, one
    that charges several prices keeps them all.
-#}
{%- set window_days = 42 -%}
{%- set half_life_days = 14 -%}
{%- set least_chance = 0.05 -%}
{%- set fewest_lines = 2 -%}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook="{{ insert_other_stretches(ref('int_pos_lines')) }}",
    meta={'days_after': window_days - 1, 'reaching': 'unlisted'}
) }}

with

lines as (
    select * from {{ ref('int_pos_lines') }}
    where
        is_sale
        and {{ in_selected_days(before=window_days - 1) }}
        and {{ in_stretch(ref('int_pos_lines'), before=window_days - 1) }}
),

stores as (
    select * from {{ ref('int_stores') }}
),

first_listed as (
    select
        country,
        sku,
        min(valid_from) as listed_from
    from {{ ref('int_list_prices') }}
    group by country, sku
),

-- the price before promotions; on a day with promotions only the days before it tell
shelf as (
    select
        store_id,
        sku,
        business_date,
        quantity,
        coalesce(list_price, case when promo_code is null then unit_price end) as price
    from lines
),

-- amounts that were divided by a quantity differ in digits that nobody pays
unlisted as (
    select
        shelf.store_id,
        shelf.sku,
        shelf.business_date,
        shelf.quantity,
        case when shelf.price >= 0.1 then round(shelf.price, 2) else shelf.price end as price
    from shelf
    left join stores on shelf.store_id = stores.store_id
    left join first_listed on stores.country = first_listed.country and shelf.sku = first_listed.sku
    where coalesce(shelf.business_date < first_listed.listed_from, true)
),

paid as (
    select
        store_id,
        sku,
        business_date,
        price,
        business_date - date '2000-01-01' as day_no,
        count(*) as lines,
        sum(quantity) as units
    from unlisted
    where price > 0
    group by store_id, sku, business_date, price
),

counted as (
    select
        *,
        day_no // {{ window_days }} as bucket,
        sum(lines) over (
            partition by store_id, sku order by day_no range between unbounded preceding and current row
        ) as lines_so_far
    from paid
),

days as (
    select distinct
        store_id,
        sku,
        business_date,
        business_date - date '2000-01-01' as day_no
    from unlisted
    where {{ in_selected_days() }} and {{ in_stretch(ref('int_pos_lines')) }}
),

-- a day looks into its own stretch of {{ window_days }} days and the one before: found by equality, not by comparing
stretches as (
    select
        *,
        day_no // {{ window_days }} as bucket
    from days
    union all
    select
        *,
        day_no // {{ window_days }} - 1 as bucket
    from days
),

-- weights are whole numbers: their sums do not depend on an order
seen as (
    select
        stretches.store_id,
        stretches.sku,
        stretches.business_date,
        counted.price,
        sum(counted.lines) as lines,
        sum(counted.units) as units,
        max(counted.lines_so_far) as newest_line,
        sum(
            counted.lines
            * cast(round(1048576 * power(0.5, (stretches.day_no - counted.day_no) / {{ half_life_days }}.0)) as bigint)
        ) as weight
    from stretches
    inner join counted
        on
            stretches.store_id = counted.store_id
            and stretches.sku = counted.sku
            and stretches.bucket = counted.bucket
            and counted.day_no between stretches.day_no - {{ window_days - 1 }} and stretches.day_no
    group by stretches.store_id, stretches.sku, stretches.business_date, counted.price
),

absent as (
    select
        *,
        max(newest_line) over (partition by store_id, sku, business_date) - newest_line as lines_since,
        sum(lines) over (partition by store_id, sku, business_date) as all_lines
    from seen
),

paid_still as (
    select
        *,
        sum(weight) over (
            partition by store_id, sku, business_date
            order by price range between unbounded preceding and current row
        ) as weight_up_to,
        sum(weight) over (partition by store_id, sku, business_date) as all_weight
    from absent
    where
        lines_since < {{ fewest_lines }}
        or power(1 - (lines + 0.5) / (all_lines - lines_since + 1), lines_since) >= {{ least_chance }}
),

in_force as (
    select
        store_id,
        sku,
        business_date,
        min(case when 2 * weight_up_to >= all_weight then price end) as list_price,
        min(case when 10 * weight_up_to >= all_weight then price end) as low_price,
        min(case when 10 * weight_up_to >= 9 * all_weight then price end) as high_price,
        sum(lines) as lines
    from paid_still
    group by store_id, sku, business_date
),

compared as (
    select
        paid_still.*,
        abs(paid_still.price - in_force.list_price) <= 0.02 * in_force.list_price as is_in_force,
        paid_still.price < in_force.list_price as is_lower,
        10 * paid_still.weight >= paid_still.all_weight as is_usual
    from paid_still
    inner join in_force
        on
            paid_still.store_id = in_force.store_id
            and paid_still.sku = in_force.sku
            and paid_still.business_date = in_force.business_date
),

told as (
    select
        store_id,
        sku,
        business_date,
        sum(case when is_in_force then weight else 0 end) / max(all_weight) as agreement,
        sum(case when is_in_force then units end) / sum(case when is_in_force then lines end) as units_per_line,
        count(case when is_usual and not is_in_force then 1 end) as other_prices,
        max(case when is_usual and is_lower and not is_in_force then units / lines end) as units_per_lower_line
    from compared
    group by store_id, sku, business_date
)

select
    in_force.store_id,
    in_force.sku,
    in_force.business_date,
    cast(in_force.list_price as decimal(12, 4)) as list_price,
    cast(in_force.low_price as decimal(12, 4)) as low_price,
    cast(in_force.high_price as decimal(12, 4)) as high_price,
    cast(in_force.lines as integer) as lines,
    cast(round(told.agreement, 4) as double) as agreement,
    case
        when told.units_per_lower_line >= 2 * told.units_per_line then 'quantity_breaks'
        when told.other_prices > 0 then 'several_prices'
    end as price_tiers
from in_force
inner join told
    on
        in_force.store_id = told.store_id
        and in_force.sku = told.sku
        and in_force.business_date = told.business_date
