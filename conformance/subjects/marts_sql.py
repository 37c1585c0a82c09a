"""The marts as plain SQL, for the subjects that are written in it, and the checks on them.

They are those of the dbt project in `dbt_build`.
"""

from __future__ import annotations

from collections.abc import Mapping

FACTS = """
select
    tenant_id, event_id, event_type, occurred_at, (occurred_at at time zone 'UTC')::date as day, received_at,
    extract(epoch from received_at - occurred_at)::double precision as lag_seconds, user_id, session_id, properties
from raw.usage_events
"""
METRICS = """
select tenant_id, day, event_type, count(*) as events, count(distinct user_id) as active_users
from {facts}
group by tenant_id, day, event_type
"""
USERS = """
select tenant_id, user_id, min(occurred_at) as first_seen_at, max(occurred_at) as last_seen_at, count(*) as events
from {facts}
where user_id is not null
group by tenant_id, user_id
"""
OWN_METRICS = "select day, event_type, events, active_users from {metrics}"

MARTS: Mapping[str, str] = {"fct_usage_events": FACTS, "tenant_usage_metrics": METRICS, "dim_users": USERS}
"""Name to query, each after what it reads."""

KEYS: Mapping[str, str] = {
    "fct_usage_events": "tenant_id, event_id",
    "tenant_usage_metrics": "tenant_id, day, event_type",
    "dim_users": "tenant_id, user_id",
}

# Each counts failing rows. Uniqueness is in the keys.
CHECKS: Mapping[str, str] = {
    "facts are complete": (
        "select count(*) from {facts} "
        "where tenant_id is null or event_id is null or event_type is null or occurred_at is null"
    ),
    "clock is not ahead": "select count(*) from {facts} where lag_seconds < -3600",
    "metrics are positive": "select count(*) from {metrics} where events is null or events < 1",
}
