{#- The instant a business day ends, in UTC: at midnight of the store's clock, or at `day_ends` ('03:00') after it. -#}
{% macro day_end(day, time_zone, day_ends) -%}
    timezone('UTC', timezone(
        coalesce({{ time_zone }}, 'UTC'),
        cast({{ day }} + 1 as timestamp) + coalesce(cast({{ day_ends }} || ':00' as interval), interval 0 second)
    ))
{%- endmacro %}


{#-
    When a row became known. A delivery more than 30 days after its day is history being loaded, not a correction:
    nobody can say when it was first known, and it counts as known when its day ended.
-#}
{% macro known_at(delivered_at, day_end) -%}
    case
        when {{ delivered_at }} > {{ day_end }} + interval 30 day then {{ day_end }}
        else coalesce({{ delivered_at }}, {{ day_end }})
    end
{%- endmacro %}


{#-
    Common table expressions that turn `facts` (a table with `keys`, business_date and day_no, at most one row per day)
    into gaps: the trading days without a row on which a key was seen on at least 4 of the last 56 days. `calendar`
    holds the trading days, `calendar_keys` their columns beside business_date. Nothing here looks forward, so a day is
    the same whether it was built when it was the newest or a year later.
-#}
{% macro feature_gaps(facts, keys, calendar, calendar_keys) -%}
    spans as (
        select
            {{ keys | join(', ') }},
            business_date,
            lead(business_date) over by_key as next_date,
            lag(business_date, 3) over by_key as fourth_last_date
        from {{ facts }}
        window by_key as (partition by {{ keys | join(', ') }} order by business_date)
    ),

    missing as (
        select
            {{ keys | join(', ') }},
            cast(unnest(generate_series(
                business_date + 1,
                least(coalesce(next_date - 1, fourth_last_date + 55), fourth_last_date + 55),
                interval 1 day
            )) as date) as business_date
        from spans
        where fourth_last_date is not null and coalesce(next_date - business_date, 2) > 1
    ),

    gaps as (
        select missing.*, {{ calendar }}.known_at
        from missing
        inner join {{ calendar }}
            on {{ calendar }}.business_date = missing.business_date
            {% for key in calendar_keys -%}
            and {{ calendar }}.{{ key }} = missing.{{ key }}
            {% endfor %}
    )
{%- endmacro %}
