{{ config(materialized='view', post_hook="{{ as_invoker() }}") }}

select
    day,
    event_type,
    events,
    active_users
from {{ ref('tenant_usage_metrics') }}
