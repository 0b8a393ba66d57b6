{#- Keys that are null or occur more than once. `by_day`: business_date is part of the key, look at rebuilt days only. -#}
{% test unique_key(model, columns, by_day=false) %}
select
    {{ columns | join(', ') }},
    count(*) as occurrences
from {{ model }}
{% if by_day %}where {{ in_run_days(model.identifier) }}{% endif %}
group by {{ columns | join(', ') }}
having count(*) > 1 or {{ columns | join(' is null or ') }} is null
{% endtest %}
