{#- Schemas are named for the layer alone: this DuckDB file has one writer and no developer prefixes. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
