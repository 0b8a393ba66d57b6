{#- The predicate by which a test looks only at the days this run rebuilt of a model; `true` when it rebuilt all. -#}
{% macro in_run_days(model_name, column='business_date') -%}
    {%- set days = var('days') -%}
    {%- set chosen = days.get(model_name, []) if days is mapping else days -%}
    {%- if not days -%}
        true
    {%- elif not chosen -%}
        false
    {%- else -%}
        {{ column }} in (
        {%- for day in chosen -%}
            date '{{ day }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}
