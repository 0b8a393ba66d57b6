{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_sales_daily'}}}) }}

-- A till that reports in another currency than its store's is a mistake of the till or of the mapping.
select
    sales.store_id,
    sales.business_date,
    sales.currency,
    stores.currency as store_currency,
    count(*) as sku_days
from {{ ref('fct_sales_daily') }} as sales
inner join {{ ref('dim_store') }} as stores on sales.store_id = stores.store_id
where
    sales.currency <> stores.currency
    and {{ in_run_days('fct_sales_daily', 'sales.business_date') }}
group by sales.store_id, sales.business_date, sales.currency, stores.currency
