{#- Keeps one row per key: the last delivery wins. Put after `where`; the key should contain business_date if it can. -#}
{% macro newest_per(keys) -%}
    qualify row_number() over (partition by {{ keys | join(', ') }} order by delivered_at desc, row_id desc) = 1
{%- endmacro %}
