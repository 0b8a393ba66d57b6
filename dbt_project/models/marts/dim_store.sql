with

stores as (
    select * from {{ ref('stg_stores') }}
),

traded as (
    select * from {{ ref('int_stores') }}
),

baskets as (
    select * from {{ ref('fct_baskets') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

payments as (
    select * from {{ ref('fct_payments') }}
),

described as (
    select
        store_id,
        name,
        country,
        region,
        city,
        time_zone,
        currency,
        channel,
        fiscal_calendar,
        day_ends,
        opened_on,
        size_sqm,
        false as is_inferred
    from stores
),

seen as (
    select
        store_id,
        country,
        currency
    from traded
    union all
    select
        store_id,
        cast(null as varchar) as country,
        min(currency) as currency
    from baskets
    group by store_id
    union all
    select
        store_id,
        cast(null as varchar) as country,
        cast(null as varchar) as currency
    from sessions
    group by store_id
    union all
    select
        store_id,
        cast(null as varchar) as country,
        min(currency) as currency
    from payments
    group by store_id
),

inferred as (
    select
        seen.store_id,
        cast(null as varchar) as name,
        max(seen.country) as country,
        cast(null as varchar) as region,
        cast(null as varchar) as city,
        cast(null as varchar) as time_zone,
        max(seen.currency) as currency,
        cast(null as varchar) as channel,
        cast(null as varchar) as fiscal_calendar,
        cast(null as varchar) as day_ends,
        cast(null as date) as opened_on,
        cast(null as integer) as size_sqm,
        true as is_inferred
    from seen
    left join described on seen.store_id = described.store_id
    where described.store_id is null and seen.store_id is not null
    group by seen.store_id
),

unioned as (
    select * from described
    union all
    select * from inferred
)

select * from unioned
