{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}',
    post_hook="{{ insert_other_stretches(ref('int_pos_lines')) }}"
) }}

with

lines as (
    select * from {{ ref('int_pos_lines') }}
    where {{ in_selected_days() }} and {{ in_stretch(ref('int_pos_lines')) }}
),

stock as (
    select * from {{ ref('stg_stock_levels') }}
    where {{ in_selected_days() }} and {{ in_stretch(ref('int_pos_lines')) }}
),

stores as (
    select * from {{ ref('int_stores') }}
),

list_prices as (
    select * from {{ ref('int_list_prices') }}
),

competitors as (
    select * from {{ ref('int_competitor_prices') }}
),

promotions as (
    select * from {{ ref('int_promotion_days') }}
),

observed as (
    select * from {{ ref('int_observed_prices') }}
    where {{ in_selected_days() }} and {{ in_stretch(ref('int_pos_lines')) }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

sold as (
    select
        store_id,
        sku,
        business_date,
        min(currency) as currency,
        sum(gross_units) as gross_units,
        sum(returned_units) as returned_units,
        sum(gross_amount) as gross_amount,
        sum(returned_amount) as returned_amount,
        sum(discount_amount) as discount_amount,
        -- the middle line: neither the dearest nor a bulk order speaks for the others
        quantile_disc(case when is_sale then list_price end, 0.5) as recorded_list_price,
        quantile_disc(case when is_sale then unit_price end, 0.5) as paid_price,
        max(case when is_sale then promo_code end) as promo_code,
        count(distinct case when is_sale then receipt_id end) as receipts,
        count(*) as source_rows,
        max(delivered_at) as delivered_at
    from lines
    group by store_id, sku, business_date
),

joined as (
    select
        coalesce(sold.store_id, stock.store_id) as store_id,
        coalesce(sold.sku, stock.sku) as sku,
        coalesce(sold.business_date, stock.business_date) as business_date,
        sold.currency as sold_currency,
        coalesce(sold.gross_units, 0) as gross_units,
        coalesce(sold.returned_units, 0) as returned_units,
        coalesce(sold.gross_amount, 0) as gross_amount,
        coalesce(sold.returned_amount, 0) as returned_amount,
        coalesce(sold.discount_amount, 0) as discount_amount,
        sold.recorded_list_price,
        sold.paid_price,
        sold.promo_code as sold_promo_code,
        coalesce(sold.receipts, 0) as receipts,
        stock.on_hand,
        stock.on_order,
        coalesce(sold.source_rows, 0) + case when stock.sku is null then 0 else 1 end as source_rows,
        greatest(sold.delivered_at, stock.delivered_at) as delivered_at
    from sold
    full outer join stock
        on
            sold.store_id = stock.store_id
            and sold.sku = stock.sku
            and sold.business_date = stock.business_date
),

placed as (
    select
        joined.*,
        stores.country,
        coalesce(joined.sold_currency, stores.currency) as currency,
        joined.gross_amount - joined.returned_amount as net_amount
    from joined
    left join stores on joined.store_id = stores.store_id
),

final as (
    select
        placed.store_id,
        placed.sku,
        placed.business_date,
        placed.currency,
        cast(placed.gross_units as double) as gross_units,
        cast(placed.returned_units as double) as returned_units,
        cast(placed.gross_units - placed.returned_units as double) as net_units,
        cast(placed.gross_amount as decimal(18, 2)) as gross_amount,
        cast(placed.returned_amount as decimal(18, 2)) as returned_amount,
        cast(placed.net_amount as decimal(18, 2)) as net_amount,
        cast(placed.discount_amount as decimal(18, 2)) as discount_amount,
        case
            when placed.gross_units > 0
                then cast(round(placed.gross_amount / placed.gross_units, 4) as decimal(12, 4))
        end as unit_price,
        cast(placed.paid_price as decimal(12, 4)) as paid_price,
        case
            when list_prices.list_price is not null
                then coalesce(placed.recorded_list_price, list_prices.list_price)
            else coalesce(observed.list_price, placed.paid_price)
        end as list_price,
        case
            when list_prices.list_price is null then case when placed.gross_units > 0 then 'observed' end
            when placed.recorded_list_price is null then 'price_list'
            else 'till'
        end as list_price_source,
        observed.low_price as list_price_low,
        observed.high_price as list_price_high,
        observed.lines as list_price_lines,
        observed.agreement as list_price_agreement,
        observed.price_tiers,
        list_prices.unit_cost,
        coalesce(placed.sold_promo_code, promotions.promo_code) is not null as on_promotion,
        coalesce(placed.sold_promo_code, promotions.promo_code) as promo_code,
        cast(
            placed.discount_amount / nullif(placed.gross_amount + placed.discount_amount, 0) as double
        ) as discount_share,
        cast(placed.receipts as integer) as receipts,
        placed.on_hand,
        placed.on_order,
        coalesce(placed.on_hand <= 0, false) as is_stocked_out,
        competitors.lowest_price as competitor_price,
        rates.reporting_currency,
        rates.exchange_rate,
        cast(round(placed.net_amount * rates.exchange_rate, 2) as decimal(18, 2)) as net_amount_reporting,
        cast(placed.source_rows as integer) as source_rows,
        greatest(
            placed.delivered_at,
            list_prices.delivered_at,
            competitors.delivered_at,
            promotions.delivered_at,
            rates.delivered_at
        ) as last_delivered_at
    from placed
    left join list_prices
        on
            placed.country = list_prices.country
            and placed.sku = list_prices.sku
            and placed.business_date >= list_prices.valid_from
            and placed.business_date < list_prices.valid_before
    left join observed
        on
            placed.store_id = observed.store_id
            and placed.sku = observed.sku
            and placed.business_date = observed.business_date
    left join competitors
        on
            placed.country = competitors.country
            and placed.sku = competitors.sku
            and placed.currency = competitors.currency
            and placed.business_date = competitors.price_date
    left join promotions
        on
            placed.country = promotions.country
            and placed.sku = promotions.sku
            and placed.business_date = promotions.promotion_date
    left join rates
        on
            placed.currency = rates.currency
            and placed.business_date = rates.rate_date
)

select * from final
