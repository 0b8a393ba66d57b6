with

promotions as (
    select * from {{ ref('stg_promotions') }}
)

select
    promo_code,
    country,
    sku,
    starts_on,
    ends_on,
    discount_pct,
    announced_on
from promotions
