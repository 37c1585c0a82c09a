"""Two tenants with rows that only they may see, on a database that the tests of a module share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.database import Database
from pipeline.core.tenants import add_tenant, tenant_login
from tests.conftest import deployed
from workbench.session import Workbench
from workbench.session.extracts import ExtractCache
from workbench.session.pool import Pool

ROWS = {"acme": 50, "globex": 70}
ADD_EVENTS = """
insert into marts.fct_usage_events (
    tenant_id, event_id, event_type, occurred_at, occurred_on, received_at, lag_seconds, user_id, session_id, properties
)
select
    %(tenant)s, gen_random_uuid(), %(tenant)s || '-canary', moment, (moment at time zone 'UTC')::date, moment, 0.5,
    %(tenant)s || '-' || n, null, jsonb_build_object('of', %(tenant)s::text)
from generate_series(1, %(rows)s) as n
cross join lateral (select timestamptz '2026-03-01Z' + n * interval '1 hour' as moment) as at
"""
PROMOTE = """
with promotion as (
    insert into control.promotions (bound_xid, as_of, models_fingerprint) values ('9', now(), 'x')
    returning promotion_id, as_of
)
insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
select %(tenant)s, '9', promotion_id, as_of, 'x' from promotion
on conflict (tenant_id) do update set promotion_id = excluded.promotion_id, as_of = excluded.as_of
returning promotion_id
"""


@dataclass(frozen=True, kw_only=True)
class SessionWorld:
    """A database with published rows, and where its extracts go."""

    database: Database
    folder: Path

    def add_tenant(self, tenant_id: str, rows: int) -> None:
        """A tenant with so many events, promoted."""
        add_tenant(self.database, tenant_id, display_name=f"The {tenant_id}")
        self.publish(tenant_id, rows)

    def publish(self, tenant_id: str, rows: int) -> int:
        """Add events and a promotion of them in one transaction; answers its id."""
        with self.database.connect_admin() as admin:
            admin.execute(ADD_EVENTS, {"tenant": tenant_id, "rows": rows})
            return int(admin.execute(PROMOTE, {"tenant": tenant_id}).fetchall()[0][0])

    def url(self, tenant_id: str) -> str:
        """The address of the tenant's login."""
        return self.database.login_url(tenant_login(self.database, tenant_id))

    def value(self, query: str, *values: object) -> Any:
        """The first column of a query's first row, as the administrator."""
        with self.database.connect_admin(autocommit=True) as admin:
            return admin.execute(query.encode(), values).fetchall()[0][0]

    def end_sessions(self, tenant_id: str) -> int:
        """End the tenant's connections, as a server that restarts does; answers how many there were."""
        login = tenant_login(self.database, tenant_id)
        return int(
            self.value("select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where usename = %s", login)
        )

    def open(self, tenant_id: str, *, pool: Pool | None = None, cache: ExtractCache | None = None) -> Workbench:
        """A workbench of the tenant; close it."""
        return Workbench(
            tenant_id=tenant_id,
            display_name=tenant_id,
            url=self.url(tenant_id),
            pool=pool or Pool(),
            cache=cache or ExtractCache(self.folder),
        )


@contextlib.contextmanager
def new_session_world(cluster: str, template: str, folder: Path) -> Iterator[SessionWorld]:
    """A database of its own, gone afterwards."""
    with deployed(cluster, template) as database:
        world = SessionWorld(database=database, folder=folder)
        for tenant_id, rows in ROWS.items():
            world.add_tenant(tenant_id, rows)
        yield world
