"""Undoing long chains of promotions of all marts, before the real gate; and what retention leaves of them."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from checks.gate import ExpectationsGate
from pipeline.core.database import ServiceRole
from pipeline.core.errors import RollbackError
from pipeline.promote.retention import Keeper
from tests.integration.promote.estate import AROUND, NAMES, Estate, Event, event

pytestmark = pytest.mark.long

ACT: dict[str, Any] = {"actor": "sam", "reason": "because"}
OLD = (
    "update control.promotions set finished_at = finished_at - interval '2 hours' where promotion_id <= %s returning 1"
)
AN_HOUR = timedelta(hours=1)
PROGRESS = "select promotion_id, promoted_xid::text, as_of from control.promotion_progress where tenant_id = %s"


def some(chance: random.Random, *tenants: str) -> list[Event]:
    """Events that restate keys of each other's windows."""
    return [
        event(
            tenant,
            AROUND + timedelta(hours=chance.randrange(-200, 200)),
            user_id=f"u{chance.randrange(4)}",
            session_id=f"s{chance.randrange(6)}",
            event_type=chance.choice(["page_view", "api_call"]),
        )
        for tenant in tenants
        for _ in range(8)
    ]


def test_promotions_are_undone_after_one_two_and_ten_later_ones(estate: Estate) -> None:
    """With late events between them, refreshes that change nothing, and one that does."""
    estate.gate = ExpectationsGate(estate.database.url(ServiceRole.PUBLISHER))
    chance, promoter = random.Random(20260301), estate.promoter()
    estate.tenants("undone", "other")
    stood: list[tuple[dict[tuple[str, str], str], list[tuple[Any, ...]]]] = []
    ids: list[int] = []
    for number in range(17):
        if number == 9:
            # Only the refresh looks at names of tenants without news.
            with estate.admin() as connection:
                connection.execute("update control.tenants set display_name = 'New' where tenant_id = 'undone'")
        refreshes = number in (6, 9, 13)
        if not refreshes:
            estate.land(*some(chance, "undone"))
        stood.append((own(estate), estate.rows(PROGRESS, "undone")))
        promotion = promoter.promote(tenants=["undone"], full_refresh=refreshes)
        assert promotion.promoted.keys() == {"undone"}
        ids.append(promotion.id)
        if number == 8:
            estate.land(*some(chance, "other"))
            promoter.promote(tenants=["other"])
    for later, tenants in ((1, None), (2, ["undone"]), (10, None)):
        place = len(ids) - 1 - later
        untouched = estate.hashes()
        with pytest.raises(RollbackError, match="Later promotions build on"):
            promoter.rollback(ids[place], tenants=tenants, **ACT)
        assert estate.hashes() == untouched
        done = promoter.rollback(ids[place], tenants=tenants, cascade=True, **ACT)
        assert list(done.undone) == ids[: place - 1 if place else None : -1]
        expected, progress = stood[place]
        assert own(estate) == expected, f"after {later} later promotions"
        assert estate.rows(PROGRESS, "undone") == progress
        assert {key: of for key, of in estate.hashes().items() if key[0] == "other"} == {
            key: of for key, of in untouched.items() if key[0] == "other"
        }
        del ids[place:], stood[place:]
    assert estate.journals_of_nothing() == []


def own(estate: Estate) -> dict[tuple[str, str], str]:
    """The hashes of the tenant that is undone."""
    return {key: of for key, of in estate.hashes().items() if key[0] == "undone"}


def test_what_has_lost_its_journal_cannot_be_undone_and_nothing_changes(estate: Estate) -> None:
    estate.tenants("kept")
    promoter = estate.promoter(keeper=Keeper(undo=AN_HOUR, history=timedelta(days=1)))
    ids = [promote_some(estate, promoter, seed) for seed in range(3)]
    estate.value(OLD, ids[1])
    promoter.promote()
    before = estate.hashes()
    for cascade in (False, True):
        for promotion in ids[:2]:
            with pytest.raises(RollbackError, match="journal of promotion"):
                promoter.rollback(promotion, cascade=cascade, **ACT)
    assert estate.hashes() == before
    left = {row for name in NAMES for row in estate.rows(f"select distinct promotion_id from journal.{name}")}  # noqa: S608
    assert left == {(ids[2],)}
    # The history is still there.
    assert [row[0] for row in estate.rows("select promotion_id from control.promotions order by 1")][:3] == ids
    promoter.rollback(ids[2], **ACT)
    assert estate.hashes() != before


def test_a_promotion_that_is_gone_does_not_keep_the_next_from_being_undone(estate: Estate) -> None:
    estate.tenants("kept", "quiet")
    promoter = estate.promoter(keeper=Keeper(undo=AN_HOUR, history=AN_HOUR))
    first = promote_some(estate, promoter, 1)
    estate.land(*some(random.Random(9), "quiet"))
    quiet = promoter.promote().id
    second = promote_some(estate, promoter, 2)
    before, progress = estate.hashes(), estate.rows(PROGRESS, "kept")
    third = promote_some(estate, promoter, 3)
    estate.value(OLD, second)
    promoter.promote()
    # What published figures rest on stays, and what was promoted before it goes.
    assert {row[0] for row in estate.rows("select promotion_id from control.promotions")} >= {quiet, third}
    assert estate.rows("select from control.promotions where promotion_id = any(%s)", [first, second]) == []
    promoter.rollback(third, **ACT)
    assert estate.hashes() == before
    assert estate.rows(PROGRESS, "kept") == progress
    assert promoter.release("kept", **ACT).promoted == {"kept": 8}
    estate.expect_published(estate.landed)
    assert promoter.promote(full_refresh=True).promoted.keys() == {"kept", "quiet"}
    estate.expect_published(estate.landed)


def promote_some(estate: Estate, promoter: Any, seed: int) -> int:
    """Land and promote; answers the promotion."""
    estate.land(*some(random.Random(seed), "kept"))
    return int(promoter.promote(tenants=["kept"]).id)
