{{ config(meta={'dagster': {'ref': {'name': 'int_pos_lines'}}}) }}

-- Amounts of two currencies must never be added up: not in a day of a SKU, not in a receipt.
select
    'sku' as grain,
    store_id,
    sku as member,
    business_date
from {{ ref('int_pos_lines') }}
where {{ in_run_days('int_pos_lines') }}
group by store_id, sku, business_date
having min(currency) <> max(currency)
union all
select
    'receipt' as grain,
    store_id,
    receipt_id as member,
    business_date
from {{ ref('int_pos_lines') }}
where {{ in_run_days('int_pos_lines') }}
group by store_id, receipt_id, business_date
having min(currency) <> max(currency)
