"""What a promotion takes up, holds and publishes; told on a real database, with what dbt compiled."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.core.errors import FingerprintMismatch, PromotionError, TenantError
from pipeline.core.tenants import suspend_tenant
from pipeline.core.verdicts import VerdictState
from pipeline.promote.marts import read_marts
from pipeline.promote.promotion import PromotionState
from tests.conftest import DBT_DIR
from tests.integration.promote.world import World, finding, insert_events, land, note_landing


def test_a_landing_that_commits_late_is_promoted_by_a_later_promotion(world: World) -> None:
    world.tenants("late")
    world.land("late", 1)
    assert world.promote().promoted == {"late": 1}
    with world.lander() as slow:
        insert_events(slow, "late", 10)
        with world.lander() as quick:
            land(quick, "late", 100)
        during = world.promote()
        assert during.state is PromotionState.NOTHING_NEW
        assert world.facts("late") == 1
        note_landing(slow, "late")
    assert world.promote().promoted == {"late": 110}
    assert world.facts("late") == 111
    assert world.promote().state is PromotionState.NOTHING_NEW
    assert world.facts("late") == world.value("select count(*) from raw.usage_events where tenant_id = 'late'")


def test_only_passed_tenants_go_through_and_the_others_are_tried_again(world: World) -> None:
    held = {
        "held-failed": VerdictState.FAILED,
        "held-errored": VerdictState.ERRORED,
        "held-empty": VerdictState.EMPTY,
        "held-unseen": VerdictState.UNSEEN,
        "held-unmentioned": None,
    }
    world.tenants("good", *held)
    for tenant in ("good", *held):
        world.land(tenant, 5)
    world.promote()
    before = {tenant: world.contents(tenant) for tenant in held}

    for tenant in ("good", *held):
        world.land(tenant, 7)
    world.gate.states.update(held)
    promotion = world.promote()

    assert promotion.promoted == {"good": 7}
    assert {tenant: hold.state for tenant, hold in promotion.held.items()} == {
        tenant: state or VerdictState.UNSEEN for tenant, state in held.items()
    }
    assert promotion.held["held-failed"].findings[0].rule == finding("held-failed").rule
    assert {tenant: world.contents(tenant) for tenant in held} == before
    assert world.facts("good") == 12
    recorded = "select samples->0->>'event_id' from control.check_results where tenant_id = 'held-failed'"
    assert world.value(recorded) == "e1"
    assert msgspec.json.decode(msgspec.json.encode(promotion))["held"]["held-empty"]["raw_rows"] == 7

    world.gate.states.clear()
    world.land("held-failed", 1)
    assert world.promote().promoted == {**dict.fromkeys(held, 7), "held-failed": 8}
    assert [world.facts(tenant) for tenant in sorted(held)] == [12, 12, 13, 12, 12]


def test_a_suspended_tenants_landed_events_are_promoted(world: World) -> None:
    world.tenants("suspended")
    world.land("suspended", 3)
    suspend_tenant(world.database, "suspended")
    assert world.promote().promoted == {"suspended": 3}


def test_a_tenant_without_news_stays_fresh_and_one_with_held_events_does_not(world: World) -> None:
    as_of = "select as_of from control.promotion_progress where tenant_id = %s"
    world.tenants("quiet", "busy")
    world.land("quiet", 1)
    world.land("busy", 1)
    world.promote()
    before = world.value(as_of, "quiet")
    assert world.value(as_of, "busy") == before
    world.land("busy", 1)
    world.gate.states["busy"] = VerdictState.FAILED
    world.promote()
    assert world.value(as_of, "busy") == before
    assert world.value(as_of, "quiet") > before
    world.gate.states.clear()
    assert world.promote().promoted == {"busy": 1}
    published = world.value(as_of, "busy")
    world.promote()
    assert world.value(as_of, "busy") > published


def test_a_choice_of_tenants_leaves_the_rest_pending(world: World) -> None:
    world.tenants("chosen", "left")
    world.land("chosen", 3)
    world.land("left", 4)
    told: list[str] = []
    promotion = world.promote(tenants=["chosen"], progress=told.append)
    assert promotion.promoted == {"chosen": 3}
    assert world.gate.asked == (promotion.id, tuple(mart.name for mart in read_marts(DBT_DIR)))
    assert told[1] == "Building candidates from 3 events of 1 tenant"
    assert set(promotion.seconds) == {"plan", "build", "seal", "judge", "publish", "refresh", "tidy"}
    assert world.facts("left") == 0
    assert world.promote().promoted == {"left": 4}


def test_an_unknown_tenant_is_refused_by_name_and_leaves_no_trace(world: World) -> None:
    before = world.last_promotion()
    with pytest.raises(TenantError, match="nobody"):
        world.promote(tenants=["nobody"])
    assert world.last_promotion() == before


def test_rows_with_the_transaction_ids_of_another_cluster_are_refused_with_the_remedy(world: World) -> None:
    """As after a restore from a logical dump, where a full refresh would take all published rows for gone."""
    before = world.last_promotion()
    with world.admin() as admin:
        admin.execute("insert into control.landing_progress values ('restored', '21474836490')")
    try:
        with pytest.raises(PromotionError, match="another cluster") as refused:
            world.promote(full_refresh=True)
    finally:
        with world.admin() as admin:
            admin.execute("delete from control.landing_progress where tenant_id = 'restored'")
    assert "--epoch=5 --next-transaction-id=11" in (refused.value.remedy or "")
    assert world.last_promotion() == before


def test_a_candidate_changed_after_it_was_judged_is_refused(world: World) -> None:
    world.tenants("tampered")
    world.land("tampered", 6)

    def tamper() -> None:
        with world.admin() as connection:
            connection.execute("update candidate.tenant_usage_metrics set events = events + 1")

    world.gate.while_judging = tamper
    with pytest.raises(PromotionError, match=r"candidate\.tenant_usage_metrics changed after it was judged"):
        world.promote()
    state, error = world.promotion(world.last_promotion())
    assert state == "failed"
    assert "tenant_usage_metrics changed" in error
    assert world.facts("tampered") == 0

    world.gate.while_judging = lambda: None
    assert world.promote().promoted == {"tampered": 6}


def test_a_gate_that_raises_fails_the_promotion_and_publishes_nothing(world: World) -> None:
    world.tenants("ungated")
    world.land("ungated", 2)

    def crash() -> None:
        raise ZeroDivisionError("the gate fell over")

    world.gate.while_judging = crash
    with pytest.raises(PromotionError, match="'judge': ZeroDivisionError: the gate fell over") as raised:
        world.promote()
    assert raised.value.remedy
    assert world.promotion(world.last_promotion())[0] == "failed"
    assert world.facts("ungated") == 0


def test_a_database_whose_security_was_changed_is_refused(world: World) -> None:
    before = world.last_promotion()
    with world.admin() as connection:
        connection.execute("grant select on marts.fct_usage_events to workbench_tenants")
    with pytest.raises(FingerprintMismatch, match=r"marts\.fct_usage_events"):
        world.promote()
    assert world.last_promotion() == before
    with world.admin() as connection:
        connection.execute("revoke select on marts.fct_usage_events from workbench_tenants")


def test_a_full_refresh_publishes_true_differences_and_a_second_one_nothing(world: World) -> None:
    world.tenants("refreshed", "neighbour")
    for tenant in ("refreshed", "neighbour"):
        world.land(tenant, 30)
    world.promote()
    right = world.contents("refreshed")
    with world.admin() as connection:
        connection.execute("update marts.tenant_usage_metrics set events = 0 where tenant_id = 'refreshed'")
        connection.execute(
            "delete from marts.fct_usage_events where (tenant_id, event_id) = "
            "(select tenant_id, event_id from marts.fct_usage_events where tenant_id = 'refreshed' limit 1)"
        )
        connection.execute(
            "insert into marts.fct_user_activity "
            "values ('refreshed', 'ghost', '2020-01-01', 'page_view', 1, now(), now())"
        )
    wrong_rows = world.value("select count(*) from marts.tenant_usage_metrics where tenant_id = 'refreshed'")
    neighbour = world.contents("neighbour")

    first = world.promote(tenants=["refreshed"], full_refresh=True)
    written = {mart: rows for mart, rows in first.rows_written.items() if rows}
    assert written == {"fct_usage_events": 1, "tenant_usage_metrics": wrong_rows}
    assert {mart: rows for mart, rows in first.rows_deleted.items() if rows} == {"fct_user_activity": 1}
    assert world.contents("refreshed") == right
    assert world.contents("neighbour") == neighbour

    second = world.promote(tenants=["refreshed"], full_refresh=True)
    assert second.promoted == {"refreshed": 30}
    assert sum(second.rows_written.values()) + sum(second.rows_deleted.values()) == 0


def test_events_that_are_published_already_fail_the_promotion_instead_of_counting_twice(world: World) -> None:
    world.tenants("rewound")
    world.land("rewound", 4)
    world.promote()
    with world.admin() as connection:
        connection.execute("update control.promotion_progress set promoted_xid = '1' where tenant_id = 'rewound'")
    with pytest.raises(PromotionError, match="fct_usage_events_pkey") as raised:
        world.promote(tenants=["rewound"])
    assert "--full-refresh" in str(raised.value)
    healed = world.promote(tenants=["rewound"], full_refresh=True)
    assert sum(healed.rows_written.values()) == 0
    assert world.promote(tenants=["rewound"]).state is PromotionState.NOTHING_NEW
