{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_baskets'}}}) }}

-- A store with less than a third of its usual receipts (median of the same weekday over eight weeks) has probably not
-- delivered everything, unless it is a public holiday. Stores with fewer than ten receipts vary that much by chance.
-- Only days of this run; in a full build the last fourteen.
with

daily as (
    select
        store_id,
        business_date,
        count(*) as receipts
    from {{ ref('fct_baskets') }}
    group by store_id, business_date
),

newest as (
    select max(business_date) as business_date from daily
),

days as (
    select distinct daily.business_date
    from daily
    cross join newest
    where
        daily.business_date > newest.business_date - 14
        and {{ in_run_days('fct_baskets', 'daily.business_date') }}
),

stores as (
    select
        store_id,
        min(business_date) as first_date
    from daily
    group by store_id
),

-- a store that delivered nothing has no rows: it is looked at as well
looked_at as (
    select
        stores.store_id,
        days.business_date,
        coalesce(daily.receipts, 0) as receipts
    from stores
    inner join days on stores.first_date < days.business_date
    left join daily
        on
            stores.store_id = daily.store_id
            and days.business_date = daily.business_date
),

open_days as (
    select looked_at.*
    from looked_at
    inner join {{ ref('dim_store') }} as described on looked_at.store_id = described.store_id
    left join {{ ref('dim_calendar') }} as calendar
        on
            described.country = calendar.country
            and looked_at.business_date = calendar.calendar_date
    where not coalesce(calendar.is_holiday, false)
),

usual as (
    select
        open_days.store_id,
        open_days.business_date,
        open_days.receipts,
        median(earlier.receipts) as usual_receipts
    from open_days
    inner join daily as earlier
        on
            open_days.store_id = earlier.store_id
            and earlier.business_date < open_days.business_date
            and earlier.business_date >= open_days.business_date - 56
            and extract(isodow from earlier.business_date) = extract(isodow from open_days.business_date)
    group by open_days.store_id, open_days.business_date, open_days.receipts
)

select * from usual
where usual_receipts >= 10 and receipts < usual_receipts / 3.0
