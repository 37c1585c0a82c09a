"""What was landed for the DAG to promote, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.tenants import add_tenant
from pipeline.land.landing import Lander
from tests.factories import event
from tests.integration.promote.world import wait_until

IS_BELOW_THE_BOUND = "select max(landed_xid) < pg_snapshot_xmin(pg_current_snapshot()) from control.landing_progress"
LEDGER = "select state, request_key from control.promotions order by promotion_id"
FACTS = "select tenant_id, count(*) from marts.fct_usage_events group by 1"


def add_tenants(database: Database) -> None:
    """Events of a good tenant, and of one whose clock is two days ahead."""
    for tenant_id in ("acme", "globex"):
        add_tenant(database, tenant_id)
    land(database, "acme", 3)
    land(database, "globex", 1, ahead=timedelta(days=2))


def land(database: Database, tenant_id: str, count: int, *, ahead: timedelta = -timedelta(minutes=5)) -> None:
    """Land events that the next promotion takes up."""
    now = utc_now()
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    lander.land([event(tenant_id=tenant_id, received_at=now, occurred_at=now + ahead) for _ in range(count)])
    lander.close()
    wait_until(lambda: rows(database, IS_BELOW_THE_BOUND) == [(True,)])


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    """A query's rows, as the administrator."""
    with database.connect_admin() as connection:
        return connection.execute(query.encode()).fetchall()
