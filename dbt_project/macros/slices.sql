{#-
    A model with windows over all of history needs memory for all of its keys at once. It is built in slices of its keys
    where it is large: its SQL keeps one of them (`in_slice`), its post-hook inserts the others one by one
    (`insert_other_slices`). The rows are the same in any number of slices, as long as no window reaches over keys.
    A slice has about `rows_at_once` rows of `relation` on the days that this run reads.
-#}
{% macro in_slice(relation, keys, before=0) -%}
    {%- set slices = namespace(number=1) -%}
    {%- if is_built(relation) -%}
        {%- set counted = run_query(
            'select count(*) from ' ~ relation ~ ' where ' ~ in_selected_days(before=before)
        ) -%}
        {%- set slices.number = 1 + counted.columns[0].values()[0] // var('rows_at_once') -%}
    {%- endif -%}
    {%- if slices.number == 1 -%}
        true
    {%- else -%}
        hash({{ keys | join(', ') }}) % {{ slices.number }} = 0 /* slice */
    {%- endif -%}
{%- endmacro %}


{% macro insert_other_slices() -%}
    {%- set sliced = modules.re.search('% (\\d+) = 0 /\\* slice \\*/', sql or '') -%}
    {%- if sliced -%}
        {%- for slice in range(1, sliced.group(1) | int) %}
            insert into {{ this }} by name {{ sql | replace('= 0 /* slice */', '= ' ~ slice) }};
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#- Whether a relation can be counted: not while dbt parses, and not the given rows of a unit test. -#}
{% macro is_built(relation) -%}
    {{ return(execute and relation.schema and load_relation(relation) is not none) }}
{%- endmacro %}
