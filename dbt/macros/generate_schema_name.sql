{#- The schema as it is written in dbt_project.yml: `candidate`, never `candidate_candidate`. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
