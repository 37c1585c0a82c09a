{{ config(
    materialized='table',
    indexes=[{'columns': ['tenant_id', 'day', 'event_type'], 'unique': true}],
    post_hook="{{ protect() }}"
) }}

select
    tenant_id,
    day,
    event_type,
    count(*) as events,
    count(distinct user_id) as active_users
from {{ ref('fct_usage_events') }}
group by tenant_id, day, event_type
