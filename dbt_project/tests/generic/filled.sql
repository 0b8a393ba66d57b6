{#- Rows in which one of the columns is null: one pass for all of them. -#}
{% test filled(model, columns, where='true', by_day=false) %}
select *
from {{ model }}
where
    ({{ columns | join(' is null or ') }} is null)
    and ({{ where }})
    {% if by_day %}and {{ in_run_days(model.identifier) }}{% endif %}
{% endtest %}
