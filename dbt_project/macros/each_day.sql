{#- Unfolds a row into one per day of a range, both ends included; an expression for the select list. -#}
{% macro each_day(first_day, last_day) -%}
    cast(unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as date)
{%- endmacro %}
