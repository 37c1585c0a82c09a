"""What row security costs a reader: a tenant's query through `analytics`, against an explicit WHERE on the marts.

Both run in one process on the same marts, interleaved; the tenant logs in as itself, the explicit
WHERE runs as the administrator, who is under no policy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pipeline.core.database import Database, connect
from pipeline.core.tenants import add_tenant, tenant_login

TENANTS = 1_000
TENANT = "bench-1"
"""The largest tenant: facts are dealt by a Zipf-like law."""

FILL_FACTS = """
insert into marts.fct_usage_events (
    tenant_id, event_id, event_type, occurred_at, occurred_on, received_at, lag_seconds, user_id, session_id, properties
)
select
    'bench-' || 1 + floor(%(tenants)s * power(random(), 3))::int,
    gen_random_uuid(),
    'event_' || n %% 12,
    moment,
    (moment at time zone 'UTC')::date,
    moment,
    0,
    'user_' || n %% 500,
    'session_' || n / 20,
    '{}'
from (
    select n, timestamptz '2026-01-01' + n * interval '90 days' / %(rows)s as moment
    from generate_series(1, %(rows)s) as n
) as generated
"""
FILL_METRICS = """
insert into marts.tenant_usage_metrics (tenant_id, day, event_type, events, active_users)
select tenant_id, occurred_on, event_type, count(*), count(distinct user_id)
from marts.fct_usage_events group by 1, 2, 3
"""
FILL_USERS = """
insert into marts.dim_users (tenant_id, user_id, first_seen_at, last_seen_at, events, active_days)
select tenant_id, user_id, min(occurred_at), max(occurred_at), count(*), count(distinct occurred_on)
from marts.fct_usage_events group by 1, 2
"""

# Each twice: as a tenant types it, and with the tenant spelled out on the mart itself.
QUERIES = {
    "events of 7 days by type": (
        "select event_type, count(*) from {schema}.fct_usage_events "
        "where {tenant} occurred_at >= '2026-03-20Z' and occurred_at < '2026-03-27Z' group by 1 order by 2 desc"
    ),
    "daily events of a month": (
        "select day, sum(events) from {schema}.tenant_usage_metrics "
        "where {tenant} day >= date '2026-03-01' group by 1 order by 1"
    ),
    "ten most active users": (
        "select user_id, events from {schema}.dim_users where {tenant} true order by events desc, user_id limit 10"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One query's medians, in milliseconds; `ratio` is row security over explicit WHERE."""

    query: str
    row_security_ms: float
    explicit_where_ms: float
    ratio: float


def measure(database: Database, *, rows: int = 1_000_000, repeats: int = 101) -> list[Reading]:
    """Fill the marts of an empty deployment with `rows` facts, and time each query `repeats` times each way."""
    add_tenant(database, TENANT)
    with database.connect_admin(autocommit=True) as admin:
        for statement in (FILL_FACTS, FILL_METRICS, FILL_USERS):
            admin.execute(statement, {"rows": rows, "tenants": TENANTS})
        admin.execute("vacuum analyze")
        login = database.login_url(tenant_login(database, TENANT))
        with connect(login, application="bench") as tenant:
            return [_compare(name, query, tenant, admin, repeats) for name, query in QUERIES.items()]


def _compare(name: str, query: str, tenant: psycopg.Connection, admin: psycopg.Connection, repeats: int) -> Reading:
    under_policy = sql.SQL(query).format(schema=sql.Identifier("analytics"), tenant=sql.SQL(""))
    where = sql.SQL("tenant_id = {} and").format(sql.Literal(TENANT))
    explicit = sql.SQL(query).format(schema=sql.Identifier("marts"), tenant=where)
    if tenant.execute(under_policy).fetchall() != admin.execute(explicit).fetchall():
        raise AssertionError(f"{name}: the two ways give different rows")
    policy_seconds, explicit_seconds = [], []
    for _ in range(repeats):
        policy_seconds.append(_seconds(tenant, under_policy))
        explicit_seconds.append(_seconds(admin, explicit))
    return _reading(name, policy_seconds, explicit_seconds)


def _seconds(connection: psycopg.Connection, query: sql.Composed) -> float:
    began = time.perf_counter()
    connection.execute(query).fetchall()
    return time.perf_counter() - began


def _reading(name: str, policy: Sequence[float], explicit: Sequence[float]) -> Reading:
    policy_ms, explicit_ms = (1000 * statistics.median(seconds) for seconds in (policy, explicit))
    return Reading(
        query=name,
        row_security_ms=round(policy_ms, 3),
        explicit_where_ms=round(explicit_ms, 3),
        ratio=round(policy_ms / explicit_ms, 3),
    )
