"""The whole way with nothing replaced: all models, and Great Expectations as the gate."""

from __future__ import annotations

from checks.gate import ExpectationsGate
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import VerdictState
from pipeline.promote.marts import read_marts
from pipeline.promote.promoter import Promoter
from tests.integration.promote.world import DBT_DIR, World

FROM_THE_FUTURE = """
update raw.usage_events set occurred_at = received_at + interval '2 days'
where (tenant_id, event_id) = (select tenant_id, event_id from raw.usage_events where tenant_id = 'dirty' limit 1)
"""


def test_one_event_from_the_future_holds_its_tenant_and_everybody_else_goes_through(database: Database) -> None:
    world = World(database=database, dbt_dir=DBT_DIR)
    world.tenants("clean", "dirty")
    world.land("clean", 40)
    world.land("dirty", 40)
    with world.admin() as admin:
        admin.execute(FROM_THE_FUTURE)
    gate = ExpectationsGate(database.url(ServiceRole.PUBLISHER))
    promotion = Promoter(database, gate, DBT_DIR, utc_now).promote()

    assert promotion.warnings == ()
    assert promotion.promoted == {"clean": 40}
    assert promotion.held["dirty"].state is VerdictState.FAILED
    assert [finding.failing_rows for finding in promotion.held["dirty"].findings if finding.severity == "stop"] == [1]
    with world.admin() as admin:
        for mart in read_marts(DBT_DIR):
            tenants = admin.execute(f"select distinct tenant_id from marts.{mart.name}").fetchall()  # noqa: S608
            assert (mart.name, tenants) == (mart.name, [("clean",)])
    assert world.value("select count(*) from cache.feature_ranking where tenant_id = 'clean'") == 2
