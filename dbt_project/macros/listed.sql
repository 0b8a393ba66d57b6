{#- A list of strings as SQL writes it. -#}
{% macro listed(values) -%}
    '{{ values | join("', '") }}'
{%- endmacro %}
