{#-
    The business dates this run rebuilds of a rolling feature, as ISO strings; `none` means all of them. A touched day
    changes every window that contains it: itself and the `after` days that follow. The variable `feature_days` is the
    finished list; without it, it is derived from `days`, where a mapping that names the model is finished as well.
-#}
{% macro feature_days(after) -%}
    {%- if not is_incremental() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- if var('feature_days', none) is not none -%}
        {{ return(var('feature_days')) }}
    {%- endif -%}
    {%- set days = var('days', []) -%}
    {%- if days is mapping or not days -%}
        {{ return(days.get(this.name, []) if days else none) }}
    {%- endif -%}
    {{ return(shifted_days(days, 0, after)) }}
{%- endmacro %}


{#- Every day from `before` days before to `after` days after each of `days`, once, in order. -#}
{% macro shifted_days(days, before, after) -%}
    {%- set wanted = [] -%}
    {%- for day in days -%}
        {%- set start = modules.datetime.datetime.strptime(day, '%Y-%m-%d') -%}
        {%- for offset in range(-before, after + 1) -%}
            {%- do wanted.append((start + modules.datetime.timedelta(days=offset)).strftime('%Y-%m-%d')) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(wanted | unique | sort) }}
{%- endmacro %}


{#- Keeps the rows of the days that are rebuilt. -#}
{% macro in_feature_days(after, column='business_date') -%}
    {%- set days = feature_days(after) -%}
    {%- if days is none -%}
        true
    {%- elif not days -%}
        false
    {%- else -%}
        {{ column }} in (
        {%- for day in days -%}
            date '{{ day }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}


{#- Keeps the rows that the windows of the rebuilt days look at: from `before` days before the first to the last. -#}
{% macro in_feature_window(after, before, column='business_date') -%}
    {%- set days = feature_days(after) -%}
    {%- if days is none -%}
        true
    {%- elif not days -%}
        false
    {%- else -%}
        {{ column }} between date '{{ (days | sort)[0] }}' - {{ before }} and date '{{ (days | sort)[-1] }}'
    {%- endif -%}
{%- endmacro %}


{#- Pre-hook: removes the days that are inserted next, also those that come back empty. -#}
{% macro delete_feature_days(after) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_feature_days(after) }}
    {%- endif -%}
{%- endmacro %}


{#- The instant a local business day ends, in UTC. -#}
{% macro day_end(day, time_zone) -%}
    timezone('UTC', timezone(coalesce({{ time_zone }}, 'UTC'), cast({{ day }} + 1 as timestamp)))
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
