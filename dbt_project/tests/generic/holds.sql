{#- Rows for which a statement is false. A statement about a null must say what it means. -#}
{% test holds(model, expression, by_day=false) %}
select *
from {{ model }}
where
    not coalesce({{ expression }}, false)
    {% if by_day %}and {{ in_run_days(model.identifier) }}{% endif %}
{% endtest %}
