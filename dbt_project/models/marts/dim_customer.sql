with

customers as (
    select * from {{ ref('stg_customers') }}
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
        customer_id,
        country,
        home_store_id,
        joined_on,
        loyalty_tier,
        false as is_inferred
    from customers
),

seen as (
    select customer_id from baskets
    union
    select customer_id from sessions
    union
    select customer_id from payments
),

inferred as (
    select
        seen.customer_id,
        cast(null as varchar) as country,
        cast(null as varchar) as home_store_id,
        cast(null as date) as joined_on,
        cast(null as varchar) as loyalty_tier,
        true as is_inferred
    from seen
    left join described on seen.customer_id = described.customer_id
    where described.customer_id is null and seen.customer_id is not null
),

unioned as (
    select * from described
    union all
    select * from inferred
)

select * from unioned
