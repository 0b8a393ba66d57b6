{#- Periods that begin before the period before them ends. An open period has no last day. -#}
{% test no_overlap(model, keys, first_day, last_day) %}
with

in_order as (
    select
        {{ keys | join(', ') }},
        {{ first_day }},
        coalesce({{ last_day }}, date '9999-12-31') as ends_on,
        lead({{ first_day }}) over (partition by {{ keys | join(', ') }} order by {{ first_day }}) as next_first_day
    from {{ model }}
)

select * from in_order
where next_first_day <= ends_on
{% endtest %}
