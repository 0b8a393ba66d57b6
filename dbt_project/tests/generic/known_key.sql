{#- Values that are missing in the table they refer to. -#}
{% test known_key(model, column, to, field, by_day=false) %}
with

used as (
    select distinct {{ column }}
    from {{ model }}
    where
        {{ column }} is not null
        {% if by_day %}and {{ in_run_days(model.identifier) }}{% endif %}
)

select used.{{ column }}
from used
left join {{ to }} as listed on used.{{ column }} = listed.{{ field }}
where listed.{{ field }} is null
{% endtest %}
