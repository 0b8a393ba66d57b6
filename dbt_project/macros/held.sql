{#-
    The predicate that keeps the rows of a source (read as `source`) whose day is believed: see sources/held_days.py.
    There are few held days, mostly none.
-#}
{% macro not_held(source_name) -%}
    not exists (
        select 1
        from {{ source('bronze', 'held_days') }} as held
        where
            held.source = '{{ source_name }}'
            and held.store_id = coalesce(source.store_id, '')
            and held.business_date = source.business_date
    )
{%- endmacro %}
