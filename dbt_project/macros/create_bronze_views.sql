{#-
    Makes each bronze Delta table a view named like its source, so that lineage resolves and every model of a run
    reads the same version of a table that is being appended to.
-#}
{% macro create_bronze_views() %}
    {%- if execute -%}
        {%- set lake = env_var('RETAIL_LAKE', '.retail/lake') -%}
        {%- set versions = var('bronze_versions') -%}
        {%- for source in graph.sources.values() if source.source_name == 'bronze' -%}
            {%- set uri = (lake ~ '/bronze/' ~ source.name) | replace("'", "''") -%}
            {%- set pin = ', version => ' ~ versions[source.name] if source.name in versions else '' -%}
            {%- if loop.first -%}
                {%- do run_query('create schema if not exists bronze') -%}
            {%- endif -%}
            {%- do run_query(
                "create or replace view bronze." ~ source.name
                ~ " as select * from delta_scan('" ~ uri ~ "'" ~ pin ~ ")"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
