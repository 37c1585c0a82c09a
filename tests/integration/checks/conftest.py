"""A promotion in the ledger with its raw rows, what is published, and a candidate; as small as it can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from checks.gate import ExpectationsGate
from checks.suites import SUITES
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import Gate, Report

TABLES = tuple(suite.table.name for suite in SUITES)
BUILD = (Path(__file__).parent / "candidate.sql").read_bytes()

# What each tenant sent: a visit that is published, one that is new, and a late event of the first. The
# landing transactions lie before the first promotion's bound of 100, and before the second's of 200.
EVENTS = """
insert into raw.usage_events (
    tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash, landed_xid
)
select
    t.tenant_id, gen_random_uuid(), e.event_type, e.at::timestamptz, e.at::timestamptz + interval '2 seconds',
    e.user_id, e.session_id, '{"path": "/"}', '', e.landed_xid::xid8
from unnest(%s::text[]) as t (tenant_id)
cross join (
    values
    ('page_view', '2026-02-27 10:00Z', 'u1', 's1', '50'),
    ('page_view', '2026-02-27 10:01Z', 'u2', 's1', '50'),
    ('page_view', '2026-03-02 23:59Z', 'u1', 's2', '150'),
    ('api.call', '2026-03-03 00:01Z', 'u1', 's2', '150'),
    ('api.call', '2026-03-03 00:02Z', 'u3', 's2', '150'),
    ('page_view', '2026-03-03 08:00Z', null, null, '150'),
    ('page_view', '2026-02-27 11:00Z', 'u2', 's1', '150')
) as e (event_type, at, user_id, session_id, landed_xid)
"""

# An hour after the newest of them: what a promotion takes up is fresh.
AS_OF = "2026-03-03 09:00Z"
PROMOTION = """
insert into control.promotions (bound_xid, as_of, models_fingerprint)
values (%s::text::xid8, %s::timestamptz, 'models') returning promotion_id
"""
PUBLISH = "insert into marts.{table} select * from candidate.{table}"
WINDOWS = """
insert into control.promotion_tenants (tenant_id, promotion_id, from_xid, full_refresh, raw_rows)
select tenant_id, %(promotion)s, (case when full_refresh then '0' else %(from)s::text end)::xid8, full_refresh, count(*)
from raw.usage_events
cross join lateral (select tenant_id = any(%(refreshed)s) as full_refresh) as asked
where landed_xid < %(bound)s::text::xid8 and (full_refresh or landed_xid >= %(from)s::text::xid8)
group by tenant_id, full_refresh
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """A database with a candidate that is clean until a test spoils it."""

    admin: psycopg.Connection
    gate: Gate
    database: Database

    def land(self, tenants: Iterable[str]) -> None:
        """The same seven events for each tenant, five of them in the window to be judged."""
        self.admin.execute(EVENTS, (list(tenants),))

    def build(self, *, refreshed: Iterable[str] = (), as_of: str = AS_OF) -> None:
        """Publish what landed first, then build the candidate of promotion 2, for some as a full refresh."""
        self._promote(bound=100, start=0, refreshed=(), as_of=as_of)
        for table in TABLES:
            self.admin.execute(PUBLISH.format(table=table).encode())
        self.admin.execute("update control.promotions set state = 'published'")
        self._promote(bound=200, start=100, refreshed=refreshed, as_of=as_of)
        self.admin.execute("update control.promotions set state = 'built' where promotion_id = 2")

    def _promote(self, *, bound: int, start: int, refreshed: Iterable[str], as_of: str) -> None:
        row = self.admin.execute(PROMOTION, (bound, as_of)).fetchone()
        assert row is not None
        values = {"promotion": row[0], "from": start, "bound": bound, "refreshed": list(refreshed)}
        self.admin.execute(WINDOWS, values)
        self.admin.execute(BUILD)

    def spoil(self, statement: str, **values: object) -> None:
        """Change what only dbt would write."""
        self.admin.execute(statement.encode(), values or None)

    def tenants(self) -> dict[str, int]:
        """The tenants of promotion 2 and their raw rows, as the promotion hands them to the gate."""
        rows = self.admin.execute("select tenant_id, raw_rows from control.promotion_tenants where promotion_id = 2")
        return dict(rows.fetchall())

    def judge(self, tenants: Mapping[str, int] | None = None, models: tuple[str, ...] = TABLES) -> Report:
        """Ask the gate about promotion 2."""
        asked = self.tenants() if tenants is None else tenants
        return self.gate.judge(promotion_id=2, tenants=asked, models=models)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep everybody from reading a table."""
        with self.database.connect_admin() as connection:
            connection.execute(f"lock table {table} in access exclusive mode".encode())
            yield


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """An empty world; the gate reads it as the publisher, under row security."""
    url = database.url(ServiceRole.PUBLISHER)
    with database.connect_admin(autocommit=True) as admin:
        yield World(admin=admin, gate=ExpectationsGate(url), database=database)
