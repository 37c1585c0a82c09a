"""The leak probe finds each wall that is loosened, and nothing where all of them stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from checks.gate import ExpectationsGate
from checks.leaks import LeakProbe
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import Report
from pipeline.land.landing import Lander
from pipeline.promote.promoter import Promoter
from tests.conftest import DBT_DIR
from tests.factories import event
from tests.integration.isolation.conftest import Tenant

UNCONDITIONAL_VIEW = """
create or replace view analytics.tenant_usage_metrics with (security_barrier = true) as
select day, event_type, events, active_users from marts.tenant_usage_metrics
"""
CONTEXT = """
create or replace function control.current_tenant() returns text language sql stable security definer
set search_path = control, pg_temp as $$ {answer} $$
"""
BELIEVES = """
select coalesce(
    (select tenant_id from control.tenant_logins where role_name = session_user::text),
    split_part(nullif(current_setting('workbench.tenant_token', true), ''), '|', 1)
)
"""
EVERYTHING = """
create view analytics.everything as select * from control.promotion_progress;
grant select on analytics.everything to workbench_tenants, workbench_api;
alter view analytics.everything owner to postgres
"""

# What is done to the database, and what the probe says then.
LOOSENED = {
    "a policy for everybody, and a view without its own condition": (
        f"create policy anybody on marts.tenant_usage_metrics to workbench_reader using (true); {UNCONDITIONAL_VIEW}",
        "analytics.tenant_usage_metrics",
    ),
    "row security switched off, and a view without its own condition": (
        f"alter table marts.tenant_usage_metrics disable row level security; {UNCONDITIONAL_VIEW}",
        "analytics.tenant_usage_metrics",
    ),
    "a view of a cached aggregate without its condition": (
        "create or replace view analytics.feature_ranking as select {columns} from cache.feature_ranking",
        "analytics.feature_ranking",
    ),
    "a table granted to tenants": (
        "grant usage on schema marts to workbench_tenants; grant select on marts.dim_users to workbench_tenants",
        "may read marts.dim_users itself",
    ),
    "a ledger granted to tenants": (
        "grant select on control.ingest_ledger to workbench_tenants",
        "workbench_tenants has rights on control.ingest_ledger",
    ),
    "one column of what was landed granted to everybody": (
        "grant select (properties) on raw.usage_events to public",
        "workbench_embed has rights on raw.usage_events",
    ),
    "a view granted to embedded dashboards": (
        "grant usage on schema analytics to workbench_embed; grant select on analytics.dim_users to workbench_embed",
        "workbench_embed has rights on analytics.dim_users",
    ),
    "a context that believes any token": (CONTEXT.format(answer=BELIEVES), "workbench_api sees rows of"),
    "a context that has a default": (CONTEXT.format(answer="select 'acme'::text"), "without a token"),
    "a context that answers nothing": (CONTEXT.format(answer="select null::text"), "sees 0 rows of"),
    "a view that nobody deployed": (EVERYTHING, "analytics.everything"),
}


def columns(database: Database) -> str:
    """The columns of the cached view as its view shows them."""
    with database.connect_admin() as admin:
        row = admin.execute(
            "select string_agg(attname, ', ' order by attnum) from pg_attribute "
            "where attrelid = 'analytics.feature_ranking'::regclass and attnum > 0"
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_walls_that_stand_are_no_leak(attackers: tuple[Tenant, Tenant], database: Database) -> None:
    assert attackers
    for _ in range(5):
        assert LeakProbe(database)() == []


def test_before_anything_is_published_there_is_nothing_to_find(database: Database) -> None:
    assert LeakProbe(database)() == []


@pytest.mark.parametrize("wall", LOOSENED)
def test_a_loosened_wall_is_found(attackers: tuple[Tenant, Tenant], database: Database, wall: str) -> None:
    assert attackers
    statement, told = LOOSENED[wall]
    with database.connect_admin() as admin:
        admin.execute(statement.replace("{columns}", columns(database)).encode())
    found = [error.reason for error in LeakProbe(database)()]
    assert any(told in reason for reason in found), found


def test_a_login_that_takes_no_connection_keeps_nobody_from_being_promoted(
    attackers: tuple[Tenant, Tenant], database: Database
) -> None:
    assert attackers
    with database.connect_admin() as admin:
        [acme, globex] = admin.execute("select role_name from control.tenant_logins order by tenant_id").fetchall()
        admin.execute(f"alter role {acme[0]} connection limit 0")
        assert LeakProbe(database)() == []
        admin.execute(f"alter role {globex[0]} connection limit 0")
        admin.commit()
        [error] = LeakProbe(database)()
    assert "can be probed" in error.reason


def test_a_leak_promotes_nobody(attackers: tuple[Tenant, Tenant], database: Database) -> None:
    assert attackers
    statement, told = LOOSENED["a table granted to tenants"]
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    lander.land([event(received_at=utc_now(), occurred_at=utc_now())])
    lander.close()
    gate = ExpectationsGate(database.url(ServiceRole.PUBLISHER), probe=LeakProbe(database))
    promoter = Promoter(database, _Loosening(gate, database, statement), DBT_DIR, utc_now)
    # The fingerprint, taken once more before anything is written, finds it too.
    with pytest.raises(PromotionError, match="security differs"):
        promoter.promote(tenants=["acme"])
    with database.connect_admin() as admin:
        row = admin.execute("select outcome, detail from control.check_results where boundary = 'isolation'").fetchone()
    assert row is not None
    assert (row[0], told in row[1]) == ("errored", True)


class _Loosening:
    """A gate that loosens a wall just before it judges."""

    def __init__(self, gate: ExpectationsGate, database: Database, statement: str) -> None:
        self._gate, self._database, self._statement = gate, database, statement
        self.fingerprint = gate.fingerprint

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        with self._database.connect_admin() as admin:
            admin.execute(self._statement.encode())
        return self._gate.judge(promotion_id=promotion_id, tenants=tenants, models=models)
