"""The data: sessions of ten events, landed in the order of time, the same for every subject.

The moments are made up and lie in the past. A landing may be told to be bad: then the clock of its
sender is three days ahead, which every subject has a rule against.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipeline.core.database import Database, ServiceRole
from pipeline.core.tenants import add_tenant

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
PER_SESSION = 10
AN_HOUR = timedelta(hours=1)

LAND = """
insert into raw.usage_events
    (tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash)
select
    tenant,
    gen_random_uuid(),
    'feature_' || (session + nth) %% 8,
    moment + %(ahead)s,
    moment,
    'user_' || session %% 400,
    'session_' || extract(epoch from %(since)s)::bigint || '_' || session,
    '{}',
    '\\x00'
from unnest(%(tenants)s::text[]) as tenant
cross join generate_series(1, %(sessions)s) as session
cross join generate_series(1, %(per_session)s) as nth
cross join lateral (
    select %(since)s + (session - 1) * (%(span)s::interval / %(sessions)s) + nth * interval '1 millisecond' as moment
) as moments
"""
NOTE = """
insert into control.landing_progress
select tenant, pg_current_xact_id() from unnest(%(tenants)s::text[]) as tenant
on conflict (tenant_id) do update set landed_xid = excluded.landed_xid
"""
# A transaction that began before ours, an autovacuum's perhaps, holds a promotion's bound back.
SETTLED = "select max(landed_xid) < pg_snapshot_xmin(pg_current_snapshot()) from control.landing_progress"


class Landing:
    """Lands events, each time those of the next hours."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._end = BEGINNING

    def add_tenants(self, tenants: Sequence[str]) -> None:
        """Make the tenants known, each with a login of its own."""
        for tenant in tenants:
            add_tenant(self._database, tenant)

    def land(self, tenants: Sequence[str], sessions: int, *, span: timedelta = AN_HOUR, bad: bool = False) -> int:
        """Land so many sessions of each tenant, spread over `span`, and tell how many events that is."""
        values = {
            "tenants": list(tenants),
            "sessions": sessions,
            "per_session": PER_SESSION,
            "since": self._end,
            "span": span,
            "ahead": timedelta(days=3 if bad else 0),
        }
        with self._database.connect(ServiceRole.LANDER) as connection:
            connection.execute(LAND, values)
            connection.execute(NOTE, values)
        self._end += span + timedelta(minutes=1)
        with self._database.connect_admin(autocommit=True) as admin:
            while not admin.execute(SETTLED).fetchall()[0][0]:
                time.sleep(0.05)
        return len(tenants) * sessions * PER_SESSION
