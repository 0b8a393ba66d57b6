{#-
    A model that aggregates the lines of each day needs memory for the groups of all of its days at once. Where there are
    many lines it is built in stretches of days: its SQL keeps the first (`in_stretch`), its post-hook inserts the others
    one by one (`insert_other_stretches`). The rows are the same in any number of stretches. A stretch has about
    `lines_at_once` rows of `relation`; the first reaches back, and the last ahead, as far as any other table does.
-#}
{% macro stretches(relation) -%}
    {%- set starts = ["cast('0001-01-01' as date)"] -%}
    {%- if is_built(relation) -%}
        {%- set counted = run_query(
            'select business_date, count(*) from ' ~ relation ~ ' where ' ~ in_selected_days() ~ ' group by 1 order by 1'
        ) -%}
        {%- set stretch = namespace(rows=0) -%}
        {%- for day, rows in counted.rows -%}
            {%- if stretch.rows and stretch.rows + rows > var('lines_at_once') -%}
                {%- do starts.append("cast('" ~ day ~ "' as date)") -%}
                {%- set stretch.rows = 0 -%}
            {%- endif -%}
            {%- set stretch.rows = stretch.rows + rows -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(starts + ["cast('9999-01-01' as date)"]) }}
{%- endmacro %}


{% macro in_stretch(relation, before=0) -%}
    {%- set starts = stretches(relation) -%}
    {%- if starts | length == 2 -%}
        true
    {%- else -%}
        (business_date >= {{ starts[0] }} - {{ before }} and business_date < {{ starts[1] }}) /* stretch */
    {%- endif -%}
{%- endmacro %}


{% macro insert_other_stretches(relation) -%}
    {%- if '/* stretch */' in (sql or '') -%}
        {%- set starts = stretches(relation) -%}
        {%- for number in range(1, starts | length - 1) %}
            insert into {{ this }} by name
            {{ sql | replace(starts[1], 'LAST') | replace(starts[0], starts[number]) | replace('LAST', starts[number + 1]) }};
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
