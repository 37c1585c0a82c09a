{{ config(
    materialized='table',
    indexes=[{'columns': ['tenant_id', 'user_id'], 'unique': true}],
    post_hook="{{ protect() }}"
) }}

select
    tenant_id,
    user_id,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at,
    count(*) as events
from {{ ref('fct_usage_events') }}
where user_id is not null
group by tenant_id, user_id
