{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    pre_hook='{{ delete_selected_days() }}'
) }}

with

lines as (
    select * from {{ ref('stg_pos_lines') }}
    where {{ in_selected_days() }}
),

priced as (
    select
        store_id,
        receipt_id,
        line_no,
        sold_at,
        sku,
        promo_code,
        customer_id,
        payment_id,
        currency,
        quantity,
        unit_price,
        list_price,
        quantity > 0 as is_sale,
        quantity < 0 as is_return,
        -- each line is rounded once, so that any grouping of lines adds up to the same total
        cast(round(quantity * unit_price, 2) as decimal(18, 2)) as net_amount,
        delivered_at,
        business_date
    from lines
),

split as (
    select
        *,
        case when is_sale then quantity else 0 end as gross_units,
        case when is_return then -quantity else 0 end as returned_units,
        case when is_sale then net_amount else 0 end as gross_amount,
        case when is_return then -net_amount else 0 end as returned_amount,
        -- a price above the list is a surcharge, not a negative discount
        case
            when is_sale and list_price > unit_price
                then cast(round(quantity * (list_price - unit_price), 2) as decimal(18, 2))
            else 0
        end as discount_amount
    from priced
)

select * from split
