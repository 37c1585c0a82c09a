"""Readers that look at all marts again and again, and fail at the first sight of a half promotion.

Every event of the kill test has a user and a session, so each mart can tell how many events are in
it, and in any snapshot all must tell the same: the number of raw rows up to where the ledger says
that the tenant is promoted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event as Signal

import psycopg

from pipeline.core.errors import DatabaseUnavailable

SECONDS_BETWEEN_READS = 0.06
SECONDS_BETWEEN_CONNECTIONS = 0.2

TELLERS = 11
ACROSS_MARTS = """
with told as (
    select tenant_id, 'fct_usage_events' as teller, count(*) as events from marts.fct_usage_events group by 1
    union all
    select tenant_id, 'fct_sessions', sum(events) from marts.fct_sessions group by 1
    union all
    select tenant_id, 'fct_user_activity', sum(events) from marts.fct_user_activity group by 1
    union all
    select tenant_id, 'dim_users', sum(events) from marts.dim_users group by 1
    union all
    select tenant_id, 'dim_tenants', sum(events) from marts.dim_tenants group by 1
    union all
    select tenant_id, 'tenant_usage_metrics', sum(events) from marts.tenant_usage_metrics group by 1
    union all
    select tenant_id, 'active_users by ' || period, sum(events) from marts.active_users group by 1, 2
    union all
    select tenant_id, 'feature_adoption', sum(events) from marts.feature_adoption group by 1
    union all
    select e.tenant_id, 'raw up to the ledger''s bound', count(*)
    from control.promotion_progress as p
    inner join raw.usage_events as e on e.tenant_id = p.tenant_id and e.landed_xid < p.promoted_xid
    group by 1
)

select tenant_id, array_agg(events::bigint), array_agg(teller || ': ' || events) from told group by tenant_id
"""
OWN_MARTS = (
    "select count(*) from fct_usage_events",
    "select coalesce(sum(events), 0) from tenant_usage_metrics",
    "select coalesce(sum(events), 0) from active_users where period = 'day'",
    "select coalesce(sum(events), 0) from active_users where period = 'month'",
    "select coalesce(sum(events), 0) from fct_sessions",
    "select coalesce(sum(events), 0) from dim_tenants",
)


@dataclass
class Sight:
    """What a reader saw."""

    reads: int = 0
    totals: set[int] = field(default_factory=set)
    """The different numbers of published events."""
    lost_connections: int = 0


def look_across_marts(connection: psycopg.Connection) -> int:
    """All tenants, in one READ COMMITTED statement, as the steward; answers how many events are published."""
    rows = connection.execute(ACROSS_MARTS).fetchall()
    for tenant, numbers, told in rows:
        assert (len(numbers), len(set(numbers))) == (TELLERS, 1), f"{tenant} is half promoted: {told}"
    return sum(numbers[0] for _, numbers, _ in rows)


def look_at_own_marts(connection: psycopg.Connection) -> int:
    """As a tenant through its own login, mart after mart in one REPEATABLE READ transaction."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        numbers = [int(connection.execute(query).fetchall()[0][0]) for query in OWN_MARTS]
    assert len(set(numbers)) == 1, f"half promoted: {dict(zip(OWN_MARTS, numbers, strict=True))}"
    return numbers[0]


def watch(
    connect: Callable[[], psycopg.Connection], look: Callable[[psycopg.Connection], int], enough: Signal
) -> Sight:
    """Look until it is enough, over connections that may break; what was published may never become less."""
    sight = Sight()
    most = 0
    while not enough.is_set():
        try:
            with connect() as connection:
                while not enough.wait(SECONDS_BETWEEN_READS):
                    total = look(connection)
                    assert total >= most, f"{total} events are published, after {most} were"
                    most = total
                    sight.reads += 1
                    sight.totals.add(total)
        except (DatabaseUnavailable, psycopg.OperationalError):
            sight.lost_connections += 1
            enough.wait(SECONDS_BETWEEN_CONNECTIONS)
    return sight
