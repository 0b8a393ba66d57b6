{#-
    The business dates this run rebuilds of the model that is being compiled, as ISO strings; `none` means all of
    them. The variable `days` is a list for every model or a mapping of model -> list, in which a model that is not
    named keeps what it has.
-#}
{% macro selected_days() -%}
    {%- set days = var('days') -%}
    {%- if not days or not is_incremental() -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(days.get(this.name, []) if days is mapping else days) }}
{%- endmacro %}


{#-
    The predicate that keeps the days this run rebuilds. `before` and `after` widen each day, for a model that looks
    at the neighbours of the days it rebuilds.
-#}
{% macro in_selected_days(column='business_date', before=0, after=0) -%}
    {%- set days = selected_days() -%}
    {%- if days is none -%}
        true
    {%- elif not days -%}
        false
    {%- else -%}
        {%- set wanted = [] -%}
        {%- for day in days -%}
            {%- set start = modules.datetime.datetime.strptime(day, '%Y-%m-%d') -%}
            {%- for offset in range(-before, after + 1) -%}
                {%- do wanted.append((start + modules.datetime.timedelta(days=offset)).strftime('%Y-%m-%d')) -%}
            {%- endfor -%}
        {%- endfor -%}
        {{ column }} in (
        {%- for day in wanted | unique | sort -%}
            date '{{ day }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}


{#-
    Pre-hook of every incremental model: removes the days that are inserted next. dbt's own delete+insert removes
    only days that come back with rows, and a day may well have lost its last one.
-#}
{% macro delete_selected_days() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_selected_days() }}
    {%- endif -%}
{%- endmacro %}
