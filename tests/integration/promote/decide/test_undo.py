"""Undoing promotions: hashes equal afterwards, or a refusal that says why and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from pipeline.core.errors import HoldError, RollbackError
from tests.integration.promote.world import MARTS, World

ACT: dict[str, Any] = {"actor": "sam", "reason": "wrong figures"}


def published(world: World, tenants: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """A hash over each tenant's rows in each mart."""
    return {tenant: world.contents(tenant) for tenant in tenants}


def progress(world: World, tenant: str) -> tuple[object, ...]:
    """Where the tenant stands, and what its figures rest on."""
    query = "select promoted_xid::text, promotion_id, as_of, models_fingerprint from control.promotion_progress"
    with world.admin() as connection:
        row = connection.execute(f"{query} where tenant_id = %s", (tenant,)).fetchone()
    assert row is not None
    return row


def promote(world: World, count: int, *tenants: str) -> int:
    """Land and promote so many events of each."""
    for tenant in tenants:
        world.land(tenant, count)
    return world.promote(tenants=tenants).id


@pytest.mark.parametrize("later", [0, 1, 2, 10])
def test_undoing_brings_every_mart_back_whatever_came_later(world: World, later: int) -> None:
    both = (f"ups{later}", f"downs{later}")
    world.tenants(*both)
    promote(world, 20, *both)
    before, stood = published(world, both), progress(world, both[0])
    undone = promote(world, 30, *both)
    promotions = [promote(world, 5, both[0]) for _ in range(later)]
    if later:
        untouched = published(world, both)
        with pytest.raises(RollbackError, match=f"Later promotions build on promotion {undone}"):
            world.promoter.rollback(undone, **ACT)
        assert published(world, both) == untouched
    done = world.promoter.rollback(undone, cascade=later > 0, **ACT)
    assert list(done.undone) == [*reversed(promotions), undone]
    assert done.tenants == sorted(both)
    assert published(world, both) == before
    assert progress(world, both[0]) == stood
    assert world.promotion(undone)[0] == "rolled_back"


def test_undoing_for_one_tenant_leaves_the_other(world: World) -> None:
    world.tenants("one", "other")
    promote(world, 8, "one", "other")
    before = published(world, ("one",))
    second = promote(world, 4, "one", "other")
    after = published(world, ("other",))
    world.promoter.rollback(second, tenants=["one"], **ACT)
    assert published(world, ("one", "other")) == before | after
    assert world.promotion(second)[0] == "published"
    with pytest.raises(RollbackError, match="published nothing of one that still stands"):
        world.promoter.rollback(second, tenants=["one"], **ACT)
    world.promoter.rollback(second, **ACT)
    assert world.promotion(second)[0] == "rolled_back"
    with pytest.raises(RollbackError, match="is rolled back: nothing that it published still stands"):
        world.promoter.rollback(second, **ACT)


def test_the_first_promotion_of_a_tenant_is_undone_to_nothing(world: World) -> None:
    world.tenants("fresh")
    first = promote(world, 7, "fresh")
    done = world.promoter.rollback(first, **ACT)
    assert done.rows_removed["fct_usage_events"] == 7
    assert all(content is None for content in world.contents("fresh").values())
    assert world.value("select promotion_id from control.promotion_progress where tenant_id = 'fresh'") is None


def test_what_was_undone_waits_for_a_steward_and_can_be_done_again(world: World) -> None:
    world.tenants("redone")
    promote(world, 5, "redone")
    second = promote(world, 3, "redone")
    after = published(world, ("redone",))
    world.promoter.rollback(second, **ACT)
    world.land("redone", 2)
    promotion = world.promote()
    assert "redone" in promotion.waiting
    assert "redone" not in promotion.promoted
    with pytest.raises(HoldError, match="A promotion of redone was undone"):
        world.promote(tenants=["redone"])
    assert world.promoter.release("redone", **ACT).promoted == {"redone": 3}
    assert published(world, ("redone",)) == after
    assert world.promote().promoted == {"redone": 2}


def test_what_was_undone_can_be_judged_again_or_discarded(world: World) -> None:
    world.tenants("again", "gone")
    promote(world, 5, "again", "gone")
    before = published(world, ("gone",))
    second = promote(world, 3, "again", "gone")
    world.promoter.rollback(second, **ACT)
    assert world.promoter.rerun(["again"], actor="sam").promoted == {"again": 3}
    assert world.promoter.discard("gone", **ACT).events == 3
    assert not {"gone", "firsts"} & set(world.promote().promoted)
    assert world.promote(tenants=["gone"], full_refresh=True).promoted == {"gone": 5}
    assert published(world, ("gone",)) == before


def test_a_full_refresh_is_undone_with_what_it_deleted(world: World) -> None:
    world.tenants("taken-back")
    promote(world, 9, "taken-back")
    with world.admin() as connection:
        connection.execute(
            "insert into marts.tenant_usage_metrics values ('taken-back', '2020-01-01', 'never.sent', 1, 1)"
        )
        connection.execute(
            "update marts.fct_user_activity set events = 77 where tenant_id = 'taken-back' and user_id = 'u1'"
        )
    before = published(world, ("taken-back",))
    refreshed = world.promote(tenants=["taken-back"], full_refresh=True).id
    assert published(world, ("taken-back",)) != before
    done = world.promoter.rollback(refreshed, **ACT)
    assert published(world, ("taken-back",)) == before
    assert done.rows_restored["tenant_usage_metrics"] == 1
    # Others who share this database rely on marts that agree.
    assert world.promoter.rerun(["taken-back"], actor="sam").promoted == {"taken-back": 9}


@pytest.mark.parametrize("mart", MARTS)
def test_rows_that_somebody_else_changed_are_not_overwritten(world: World, mart: str) -> None:
    tenant = mart.replace("_", "-")
    world.tenants(tenant)
    promote(world, 5, tenant)
    second = promote(world, 5, tenant)
    column = "received_at = received_at + interval '1 hour'" if mart.startswith("fct_usage") else "events = events + 1"
    changed = sql.SQL("update {} set {} where tenant_id = %s").format(sql.Identifier("marts", mart), sql.SQL(column))
    with world.admin() as connection:
        connection.execute(changed, (tenant,))
    before = published(world, (tenant,))
    with pytest.raises(RollbackError, match=rf"marts\.{mart} are not as this promotion left them"):
        world.promoter.rollback(second, **ACT)
    assert published(world, (tenant,)) == before
    world.promote(tenants=[tenant], full_refresh=True)


def test_a_journal_that_was_tampered_with_undoes_nothing(world: World) -> None:
    world.tenants("forged")
    promote(world, 5, "forged")
    second = promote(world, 5, "forged")
    with world.admin() as connection:
        connection.execute("update journal.tenant_usage_metrics set events = 1 where tenant_id = 'forged' and existed")
    before = published(world, ("forged",))
    with pytest.raises(RollbackError, match="would not be as they were before it"):
        world.promoter.rollback(second, **ACT)
    assert published(world, ("forged",)) == before


def test_a_promotion_that_was_never_there_cannot_be_undone(world: World) -> None:
    with pytest.raises(RollbackError, match="There is no promotion 999999"):
        world.promoter.rollback(999999, **ACT)
