{#- Row security as a post-hook, for those who know that dbt replaces tables; nothing unless `hooks` is set. -#}
{% macro protect() %}
    {%- if var('hooks') -%}
    alter table {{ this }} enable row level security;
    drop policy if exists reads_all on {{ this }};
    create policy reads_all on {{ this }} for select to conformance_analyst using (true);
    drop policy if exists reads_own_tenant on {{ this }};
    create policy reads_own_tenant on {{ this }} for select to conformance_tenant
    using (tenant_id = (select current_setting('app.tenant', true)))
    {%- endif -%}
{% endmacro %}


{#- The view runs with the rights of whoever reads it. -#}
{% macro as_invoker() %}
    {%- if var('hooks') -%}
    alter view {{ this }} set (security_invoker = true, security_barrier = true)
    {%- endif -%}
{% endmacro %}
