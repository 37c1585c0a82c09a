"""What becomes of a held tenant: it waits, it is judged again, a steward releases or discards what was held."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.rows import dict_row

from pipeline.core.errors import HoldError
from pipeline.core.verdicts import VerdictState
from tests.integration.promote.world import World

ACT: dict[str, Any] = {"actor": "sam", "reason": "looked at it"}


def hold_of(world: World, tenant: str) -> dict[str, Any]:
    """The tenant's latest hold."""
    with world.admin() as connection:
        rows = connection.cursor(row_factory=dict_row).execute(
            "select * from control.holds where tenant_id = %s order by hold_id desc", (tenant,)
        )
        return rows.fetchall()[0]


def audited(world: World, tenant: str) -> list[tuple[str, str, str]]:
    """Who did what to the tenant, and why."""
    query = "select actor, action, details ->> 'reason' from control.audit_log where tenant_id = %s order by audit_id"
    with world.admin() as connection:
        return connection.execute(query, (tenant,)).fetchall()


def shown(world: World, tenant: str) -> tuple[bool, bool]:
    """Whether customers see the tenant as held, and whether they see figures as of a moment."""
    query = "select held, as_of is not null from control.promotion_progress where tenant_id = %s"
    with world.admin() as connection:
        row = connection.execute(query, (tenant,)).fetchone()
    assert row is not None
    return row[0], row[1]


def hold(world: World, tenant: str, events: int, *, before: int = 0) -> int:
    """Have the tenant held with `events` pending, after `before` were published; answers the promotion."""
    world.tenants(tenant)
    if before:
        world.land(tenant, before)
        world.promote(tenants=[tenant])
    world.land(tenant, events)
    world.gate.states[tenant] = VerdictState.FAILED
    return world.promote(tenants=[tenant]).id


def test_a_hold_opens_once_and_is_about_the_latest_judgement(world: World) -> None:
    first = hold(world, "opens", 3)
    opened = hold_of(world, "opens")
    assert (opened["state"], opened["cause"], opened["promotion_id"], opened["raw_rows"]) == (
        "open",
        "checks",
        first,
        3,
    )
    assert shown(world, "opens") == (True, False)
    world.land("opens", 2)
    second = world.promote().id
    again = hold_of(world, "opens")
    assert again["hold_id"] == opened["hold_id"]
    assert (again["promotion_id"], again["raw_rows"], again["opened_at"]) == (second, 5, opened["opened_at"])
    told = "select count(*) from control.notifications where tenant_id = 'opens'"
    assert world.value(told) == 1


def test_an_unchanged_hold_is_not_judged_again_but_on_request(world: World) -> None:
    hold(world, "settled", 3)
    promotion = world.promote()
    assert "settled" in promotion.waiting
    assert "settled" not in promotion.held
    assert world.promote(tenants=["settled"]).held.keys() == {"settled"}
    world.land("settled", 1)
    assert world.promote().held.keys() == {"settled"}
    world.gate.states.clear()
    assert world.promote().promoted == {"settled": 4}
    assert hold_of(world, "settled")["state"] == "cleared"
    assert shown(world, "settled") == (False, True)


def test_what_could_not_be_judged_is_tried_again_every_time(world: World) -> None:
    world.tenants("unlucky")
    world.land("unlucky", 2)
    world.gate.states["unlucky"] = VerdictState.ERRORED
    for _ in range(2):
        assert world.promote().held.keys() == {"unlucky"}
    with pytest.raises(HoldError, match="held as errored"):
        world.promoter.release("unlucky", **ACT)
    with pytest.raises(HoldError, match="held as errored"):
        world.promoter.discard("unlucky", **ACT)
    told = "select count(*) from control.notifications where kind = 'promotion.failed' and promotion_id >= %s - 1"
    assert world.value(told, world.last_promotion()) == 1


def test_a_release_promotes_what_was_judged_and_nothing_that_was_landed_since(world: World) -> None:
    hold(world, "released", 3, before=2)
    world.land("released", 4)
    promotion = world.promoter.release("released", **ACT)
    assert (promotion.promoted, promotion.held) == ({"released": 3}, {})
    assert world.facts("released") == 5
    verdict = "select verdict from control.promotion_tenants where tenant_id = 'released' and promotion_id = %s"
    assert world.value(verdict, promotion.id) == "released"
    decided = hold_of(world, "released")
    assert (decided["state"], decided["decided_by"], decided["reason"]) == ("released", "sam", "looked at it")
    assert audited(world, "released") == [("sam", "release hold", "looked at it")]
    # The rest was not looked at.
    assert world.promote().held["released"].raw_rows == 4
    assert hold_of(world, "released")["hold_id"] != decided["hold_id"]


def test_a_release_does_not_permit_what_fails_beside_it(world: World) -> None:
    hold(world, "beside", 3)
    world.gate.rule = "another_rule"
    promotion = world.promoter.release("beside", **ACT)
    assert promotion.held.keys() == {"beside"}
    assert world.facts("beside") == 0
    assert hold_of(world, "beside")["state"] == "open"
    # What failed now has been seen now.
    assert world.promoter.release("beside", **ACT).promoted == {"beside": 3}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 3_000])
def test_a_decision_needs_a_reason(world: World, reason: str) -> None:
    hold(world, f"reason{len(reason)}", 1)
    for decide in (world.promoter.release, world.promoter.discard):
        with pytest.raises(HoldError, match="reason"):
            decide(f"reason{len(reason)}", actor="sam", reason=reason)
    assert hold_of(world, f"reason{len(reason)}")["state"] == "open"


def test_only_a_held_tenant_is_decided_about(world: World) -> None:
    world.tenants("free")
    world.land("free", 1)
    world.promote()
    for decide in (world.promoter.release, world.promoter.discard):
        with pytest.raises(HoldError, match="free is not held"):
            decide("free", **ACT)
    with pytest.raises(HoldError, match="free is not held"):
        world.promoter.rerun(["free"], actor="sam")


def test_what_is_discarded_stays_in_raw_and_out_of_the_marts_for_good(world: World) -> None:
    hold(world, "discards", 3, before=2)
    world.land("discards", 4)
    discarded = world.promoter.discard("discards", **ACT)
    assert (discarded.events, discarded.closed) == (3, True)
    assert shown(world, "discards") == (False, True)
    world.gate.states.clear()
    assert world.promote().promoted == {"discards": 4}
    assert world.facts("discards") == 6
    assert world.promote(tenants=["discards"], full_refresh=True).promoted == {"discards": 6}
    assert world.facts("discards") == 6
    assert world.value("select count(*) from raw.usage_events where tenant_id = 'discards'") == 9
    assert audited(world, "discards") == [("sam", "discard events", "looked at it")]


def test_the_first_data_of_a_tenant_can_be_discarded(world: World) -> None:
    hold(world, "firsts", 3)
    world.promoter.discard("firsts", **ACT)
    assert shown(world, "firsts") == (False, False)
    world.gate.states.clear()
    assert not {"gone", "firsts"} & set(world.promote().promoted)
    world.land("firsts", 2)
    assert world.promote().promoted == {"firsts": 2}


def test_single_events_are_discarded_and_the_rest_is_judged_again(world: World) -> None:
    hold(world, "some", 5)
    with world.admin() as connection:
        rows = connection.execute("select event_id from raw.usage_events where tenant_id = 'some'").fetchall()
    two = [row[0] for row in rows[:2]]
    assert world.promoter.discard("some", events=two, **ACT).closed is False
    with pytest.raises(HoldError, match="1 of the events are no part"):
        world.promoter.discard("some", events=[two[0], rows[3][0]], **ACT)
    world.gate.states.clear()
    promotion = world.promoter.rerun(["some"], actor="sam")
    assert promotion.promoted == {"some": 3}
    assert world.value("select count(*) from raw.discarded_events where tenant_id = 'some'") == 2


def test_discarding_the_last_event_ends_the_hold(world: World) -> None:
    hold(world, "last", 2)
    with world.admin() as connection:
        rows = connection.execute("select event_id from raw.usage_events where tenant_id = 'last'").fetchall()
    assert world.promoter.discard("last", events=[rows[0][0]], **ACT).closed is False
    assert world.promoter.discard("last", events=[rows[1][0]], **ACT).closed is True
    assert hold_of(world, "last")["state"] == "discarded"
    assert shown(world, "last") == (False, False)


def test_a_published_row_cannot_be_discarded_through_a_rebuild_that_fails(world: World) -> None:
    world.tenants("rebuilt")
    world.land("rebuilt", 3)
    world.promote()
    world.gate.states["rebuilt"] = VerdictState.FAILED
    assert world.promote(tenants=["rebuilt"], full_refresh=True).held.keys() == {"rebuilt"}
    with pytest.raises(HoldError, match="No row of rebuilt is waiting"):
        world.promoter.discard("rebuilt", **ACT)
    assert world.facts("rebuilt") == 3
