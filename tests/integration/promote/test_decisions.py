"""Decisions in the corners: holds about everything, undoing in steps, and what exactly a release permits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from pipeline.core.errors import FingerprintMismatch, PromotionError
from pipeline.core.verdicts import Report, VerdictState
from pipeline.promote.promotion import PromotionState
from pipeline.promote.retention import Keeper
from tests.integration.promote.estate import AROUND, Estate, copy_models, event
from tests.integration.promote.taint import TaintGate
from tests.integration.promote.world import ScriptedGate, finding

ACT: dict[str, Any] = {"actor": "sam", "reason": "because"}


def land(estate: Estate, count: int = 3, **fields: Any) -> None:
    estate.land(*(event("a", AROUND + timedelta(minutes=i), **fields) for i in range(count)))


def is_held(estate: Estate) -> bool:
    return bool(estate.value("select held from control.promotion_progress where tenant_id = 'a'"))


def decide(promoter: Any, how: str) -> None:
    if how == "rerun":
        promoter.rerun(["a"], actor="sam")
    elif how == "schedule":
        promoter.promote()
    else:
        getattr(promoter, how)("a", **ACT)


@pytest.fixture
def scripted(estate: Estate) -> ScriptedGate:
    estate.tenants("a")
    assert isinstance(estate.gate, ScriptedGate)
    return estate.gate


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("how", ["release", "rerun"])
def test_an_undone_full_refresh_can_be_decided_about(estate: Estate, how: str) -> None:
    promoter = estate.promoter()
    land(estate)
    promoter.promote()
    promoter.rollback(promoter.promote(tenants=["a"], full_refresh=True).id, **ACT)
    decide(promoter, how)
    assert not is_held(estate)


@pytest.mark.parametrize("how", ["release", "rerun", "schedule"])
def test_a_failed_full_refresh_can_be_decided_about(estate: Estate, scripted: ScriptedGate, how: str) -> None:
    promoter = estate.promoter()
    land(estate)
    promoter.promote()
    scripted.states["a"] = VerdictState.FAILED
    promoter.promote(tenants=["a"], full_refresh=True)
    if how != "release":
        scripted.states.clear()
    decide(promoter, how)
    assert not is_held(estate)


def test_models_that_were_deployed_back_free_who_was_held(
    estate: Estate, scripted: ScriptedGate, tmp_path: Path
) -> None:
    promoter, newer = estate.promoter(), estate.promoter(dbt_dir=copy_models(tmp_path / "dbt", "newer"))
    land(estate)
    promoter.promote()
    scripted.states["a"] = VerdictState.FAILED
    newer.promote()
    scripted.states.clear()
    promoter.promote()
    assert not is_held(estate)


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("how", ["release", "discard"])
def test_undone_one_by_one_is_held_like_undone_by_a_cascade(estate: Estate, how: str) -> None:
    promoter = estate.promoter()
    ids = []
    for _ in range(3):
        land(estate)
        ids.append(promoter.promote().id)
    promoter.rollback(ids[2], **ACT)
    promoter.rollback(ids[1], **ACT)
    decide(promoter, how)
    # Either the decision was about all that was undone, or the rest still waits.
    assert promoter.promote().state is PromotionState.NOTHING_NEW


def test_a_release_permits_no_rule_that_failed_in_another_hold(estate: Estate) -> None:
    estate.tenants("a")
    gate = estate.gate = TaintGate(estate, [])
    promoter = estate.promoter()
    land(estate, properties={"taint": "tall"})
    first = promoter.promote().id  # no rule was in force
    gate.rules = frozenset(["tall"])
    land(estate, properties={"taint": "tall"})
    promoter.promote()
    promoter.rollback(promoter.release("a", **ACT).id, **ACT)
    promoter.discard("a", **ACT)  # that is settled
    promoter.rollback(first, **ACT)  # a hold about other events, in which nobody saw `tall` fail
    assert promoter.release("a", **ACT).promoted == {}


def test_as_of_never_goes_back_by_a_release(estate: Estate, scripted: ScriptedGate, tmp_path: Path) -> None:
    as_of = "select as_of from control.promotion_progress where tenant_id = 'a'"
    promoter, newer = estate.promoter(), estate.promoter(dbt_dir=copy_models(tmp_path / "dbt", "newer"))
    land(estate)
    promoter.promote()
    scripted.states["a"] = VerdictState.FAILED
    newer.promote()  # held; opens with as_of now
    newer.promote()  # waits; everything that was landed is published, so as_of moves on
    shown = estate.value(as_of)
    assert newer.release("a", **ACT).promoted
    assert estate.value(as_of) >= shown


@pytest.mark.usefixtures("scripted")
def test_a_release_does_not_permit_what_only_warned(estate: Estate) -> None:
    class Tightened(ScriptedGate):
        judged = 0

        def judge(self, **asked: Any) -> Report:
            self.judged += 1
            report = super().judge(**asked)
            second = replace(finding("a", "odd"), severity="warn" if self.judged == 1 else "stop")
            return replace(report, findings=(*report.findings[: 2 - self.judged], second))

    gate = Tightened()
    gate.states["a"] = VerdictState.FAILED
    land(estate)
    promoter = estate.promoter(gate=gate)
    assert promoter.promote().held  # by clock_ahead; `odd` warns
    assert promoter.release("a", **ACT).promoted == {}  # now `odd` stops


@pytest.mark.usefixtures("scripted")
def test_a_rollback_refuses_on_loosened_security(estate: Estate) -> None:
    promoter = estate.promoter()
    land(estate)
    promotion = promoter.promote().id
    with estate.admin() as connection:
        connection.execute("grant select on marts.fct_usage_events to workbench_tenants")
    with pytest.raises(FingerprintMismatch):
        promoter.rollback(promotion, **ACT)


def test_what_others_keep_from_ending_is_no_lost_database(estate: Estate) -> None:
    def hear(point: str) -> None:
        if point == "recorded":
            raise psycopg.errors.SerializationFailure

    estate.tenants("a")
    estate.gate = TaintGate(estate, [])
    estate.land(event("a", AROUND))
    promotion = estate.promoter().promote().id
    with pytest.raises(PromotionError, match="The database refused") as failed:
        estate.promoter(reached=hear).rollback(promotion, **ACT)
    assert "try again" in (failed.value.remedy or "")


def test_a_promotion_that_could_not_tidy_up_has_still_promoted(estate: Estate) -> None:
    class Cancelled(Keeper):
        def _tidy(self, connection: psycopg.Connection, marts: object) -> None:  # noqa: ARG002
            connection.execute("set statement_timeout = 10")
            connection.execute("select pg_sleep(1)")

    estate.tenants("a")
    estate.gate = TaintGate(estate, [])
    estate.land(event("a", AROUND))
    promotion = estate.promoter(keeper=Cancelled()).promote()
    assert promotion.promoted == {"a": 1}
    assert "past its time" in promotion.warnings[0]
