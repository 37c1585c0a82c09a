{#- Rows of one tenant meet rows of the same tenant only: every join goes through these macros,
    and `python -m pipeline.promote.tenant_lint` reads what they rendered. -#}

{#- The condition of a join: the same tenant, then the columns of `on`. -#}
{% macro same_tenant(left, right, on=[]) -%}
    {{ left }}.tenant_id = {{ right }}.tenant_id
    {%- for column in on %}
    and {{ left }}.{{ column }} = {{ right }}.{{ column }}
    {%- endfor %}
{%- endmacro %}


{#- The published row with the key of each row of `to`, as `published`; nothing in a full refresh.

    `to` carries `full_refresh`; `on` is the mart's key without tenant_id. The lateral subquery with
    `offset 0` cannot become a hash or merge join, whatever the planner believes: each row of `to`
    costs one probe of the mart's primary key, so that the work follows new data, not history. -#}
{% macro left_join_published(mart, to, on=[]) -%}
    left join lateral (
        select mart.*
        from {{ source('published', mart) }} as mart
        where
            {{ same_tenant('mart', to, on) }}
            and not {{ to }}.full_refresh
        offset 0
    ) as published on true
{%- endmacro %}


{#- The first of the published rows that match each row of `to`, as `published`: was anything there?

    `on` leads an index of the mart, and `first_by` is the column after it: the order makes the
    planner take that index even where it expects a match on the first page of the table. -#}
{% macro left_join_first_published(mart, to, on, first_by, where='true') -%}
    left join lateral (
        select mart.*
        from {{ source('published', mart) }} as mart
        where
            {{ same_tenant('mart', to, on) }}
            and {{ where }}
            and not {{ to }}.full_refresh
        order by mart.{{ first_by }}
        limit 1
    ) as published on true
{%- endmacro %}
