"""Promotions that are asked for by a key and carried out step by step, each step as another process would."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.database import database_name
from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import Report
from pipeline.promote import ledger
from pipeline.promote.promotion import Promotion, PromotionState
from tests.conftest import deployed
from tests.integration.promote.estate import AROUND, Estate, Event, copy_models, event
from tests.integration.promote.taint import TaintGate

BUILT, JUDGED, PUBLISHED = PromotionState.BUILT, PromotionState.JUDGED, PromotionState.PUBLISHED
OTHERS = ("plan", "seal", "take up", "judge", "rested", "claimed", "publish")
"""Points at which a process may die, beside those that are the most different."""
TAINTED = {"taint": "bad"}
LEDGER = "select state, coalesce(error, '') from control.promotions order by promotion_id"
TOLD_OF_FAILURES = "select promotion_id from control.notifications where kind = 'promotion.failed' order by 1"
OPEN_HOLDS = "select tenant_id, verdict from control.holds where state = 'open' order by 1"
SPOIL = "update candidate.fct_usage_events set event_type = 'forged' where tenant_id = 'good'"
PROMOTED_TWICE = """
select tenant_id, from_xid from control.promotion_tenants where promoted and undone_at is null
group by 1, 2 having count(*) > 1
"""
DONE_TWICE = """
select request_key from control.promotions where state in ('published', 'nothing_new', 'built', 'judged')
and request_key is not null group by 1 having count(*) > 1
"""


@pytest.fixture
def gated(estate: Estate) -> Estate:
    """Events of a good tenant and of one that is held, landed and not promoted."""
    estate.gate = TaintGate(estate, ["bad"])
    estate.tenants("good", "bad")
    estate.land(*some("good", 5), *some("bad", 3, properties=TAINTED))
    return estate


def some(tenant: str, count: int, **fields: Any) -> list[Event]:
    """Events of one day."""
    return [event(tenant, AROUND + timedelta(minutes=i), **fields) for i in range(count)]


def ask(estate: Estate, until: PromotionState = PUBLISHED, key: str = "ten", **options: Any) -> Promotion:
    """Ask as a process of its own would."""
    return estate.promoter(**options).promote(key=key, until=until, asked_by="airflow")


def untimed(promotion: Promotion) -> Promotion:
    """What it tells, but for how long it took."""
    return msgspec.structs.replace(promotion, seconds={})


def test_step_by_step_it_publishes_what_one_process_would_and_nothing_before(gated: Estate, cluster: str) -> None:
    with deployed(cluster, database_name(gated.database.admin_url)) as database:
        at_once = replace(gated, database=database)
        at_once.gate = TaintGate(at_once, ["bad"])
        whole = at_once.promoter().promote()
        expected = at_once.hashes()

    built = ask(gated, BUILT)
    assert (built.state, built.taken_up, built.held) == (BUILT, {"good": 5, "bad": 3}, {})
    judged = ask(gated, JUDGED)
    assert (judged.id, judged.state, judged.promoted) == (built.id, JUDGED, {})
    assert judged.held == whole.held
    assert gated.hashes() == {}
    assert gated.rows(OPEN_HOLDS) == []

    published = ask(gated)
    assert (published.id, published.as_of) == (built.id, built.as_of)
    assert untimed(published) == msgspec.structs.replace(untimed(whole), id=built.id, as_of=built.as_of)
    assert gated.hashes() == expected
    assert gated.rows(OPEN_HOLDS) == [("bad", "failed")]
    assert gated.rows(LEDGER) == [("published", "")]


@pytest.mark.parametrize("until", [BUILT, PUBLISHED])
def test_the_same_key_promotes_once_and_answers_what_came_of_it(gated: Estate, until: PromotionState) -> None:
    first = ask(gated)
    gated.land(*some("good", 2))
    again = ask(gated, until)
    assert untimed(again) == untimed(first)
    assert "refresh" in again.seconds
    assert gated.rows(LEDGER) == [("published", "")]
    assert ask(gated, key="eleven").promoted == {"good": 2}


def test_a_step_asked_for_again_is_not_done_again(gated: Estate) -> None:
    first = ask(gated, JUDGED)
    gated.gate = Refusing()
    assert untimed(ask(gated, JUDGED)) == untimed(first)
    assert ask(gated, BUILT).state is JUDGED
    assert ask(gated).promoted == {"good": 5}


def test_a_key_that_found_nothing_new_stays_with_that(gated: Estate) -> None:
    gated.promoter().promote()
    nothing = ask(gated, BUILT)
    assert nothing.state is PromotionState.NOTHING_NEW
    gated.land(*some("good", 2))
    assert ask(gated).id == nothing.id


def test_the_next_step_alone_does_all_that_is_missing(gated: Estate) -> None:
    assert ask(gated).promoted == {"good": 5}


def test_who_comes_between_sets_it_aside_and_it_begins_anew(gated: Estate) -> None:
    resting = ask(gated, JUDGED)
    between = gated.promoter().promote(tenants=["good"])
    assert between.promoted == {"good": 5}
    gated.land(*some("good", 2))
    published = ask(gated)
    assert published.promoted == {"good": 2}
    assert gated.rows(LEDGER) == [("failed", ledger.SET_ASIDE), ("published", ""), ("published", "")]
    assert gated.rows(TOLD_OF_FAILURES) == []
    assert resting.id < between.id < published.id
    gated.expect_published([each for each in gated.landed if each["tenant_id"] == "good"])


def test_a_decision_of_a_steward_comes_between_as_well(gated: Estate) -> None:
    gated.promoter().promote()
    gated.land(*some("good", 2))
    ask(gated, BUILT)
    gated.promoter().discard("bad", actor="sam", reason="because")
    assert ask(gated).promoted == {"good": 2}


def test_a_rolled_back_promotion_is_not_promoted_again_by_its_key(gated: Estate) -> None:
    first = ask(gated)
    gated.promoter().rollback(first.id, actor="sam", reason="because")
    again = ask(gated)
    assert (again.id, again.state, again.promoted) == (first.id, PromotionState.ROLLED_BACK, {})
    assert gated.hashes() == {}


@pytest.mark.parametrize("rests", [pytest.param(BUILT, marks=pytest.mark.long), JUDGED])
def test_a_candidate_that_changed_while_it_rested_is_never_published(gated: Estate, rests: PromotionState) -> None:
    spoiled = ask(gated, rests)
    with gated.admin() as connection:
        connection.execute(SPOIL)
    assert ask(gated).promoted == {"good": 5}
    gated.expect_published([each for each in gated.landed if each["tenant_id"] == "good"])
    (state, error), *others = gated.rows(LEDGER)
    assert state == "failed"
    assert "changed after it was judged" in error
    assert others == [("published", "")]
    assert gated.rows(TOLD_OF_FAILURES) == [(spoiled.id,)]


def test_a_candidate_of_other_models_is_built_anew(gated: Estate, tmp_path: Path) -> None:
    ask(gated, JUDGED)
    models = copy_models(tmp_path / "dbt", "deployed meanwhile")
    assert ask(gated, dbt_dir=models).promoted == {"good": 5}
    assert [state for state, _ in gated.rows(LEDGER)] == ["failed", "published"]
    assert gated.rows(TOLD_OF_FAILURES) == []


def test_where_the_checks_could_not_judge_it_is_closed_at_once_and_judged_when_asked_again(gated: Estate) -> None:
    gate = gated.gate
    assert isinstance(gate, TaintGate)
    gate.blind = {"good": "errored", "bad": "errored"}
    unable = ask(gated, JUDGED)
    assert (unable.state, unable.promoted) == (PUBLISHED, {})
    assert gated.rows(OPEN_HOLDS) == [("bad", "errored"), ("good", "errored")]
    gate.blind = {}
    assert ask(gated, JUDGED).state is JUDGED
    assert ask(gated).promoted == {"good": 5}
    assert gated.rows(OPEN_HOLDS) == [("bad", "failed")]


def test_the_same_key_for_something_else_is_refused(gated: Estate) -> None:
    ask(gated, BUILT)
    with pytest.raises(PromotionError, match="same key 'ten'"):
        gated.promoter().promote(key="ten", tenants=["good"])
    assert ask(gated).promoted == {"good": 5}


def test_nothing_rests_without_a_key(gated: Estate) -> None:
    with pytest.raises(ValueError, match="without a key"):
        gated.promoter().promote(until=BUILT)


@pytest.mark.parametrize("point", [*("build", "recorded"), *(pytest.param(p, marks=pytest.mark.long) for p in OTHERS)])
def test_a_step_that_is_killed_is_made_up_for_by_asking_again(gated: Estate, point: str) -> None:
    for until in (BUILT, JUDGED, PUBLISHED):
        killed_at(point, partial(ask_and_die, gated, until))
        assert ask(gated, until).id
    gated.expect_published([each for each in gated.landed if each["tenant_id"] == "good"])
    states = [state for state, _ in gated.rows(LEDGER)]
    assert states.count("published") == 1
    assert set(states) <= {"published", "failed"}
    assert gated.rows(PROMOTED_TWICE) == []


def ask_and_die(estate: Estate, until: PromotionState, die: Callable[[str], None], key: str = "ten") -> None:
    """Ask as a process would that dies where it is told to."""
    ask(estate, until, key, reached=die)


class Refusing:
    """A gate that must not be asked."""

    fingerprint = ""

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: object) -> Report:
        raise AssertionError(f"{promotion_id} is judged already: {tenants}, {models}")


def killed_at(point: str, work: Callable[[Callable[[str], None]], object]) -> None:
    """Do the work in a process that dies where it reaches the point, if it does."""

    def die(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work, args=(die,))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode


Deeds = list[tuple[Any, ...]]
KEYS = st.sampled_from(["ten", "eleven"])
STEPS = st.sampled_from([BUILT, JUDGED, PUBLISHED])
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), KEYS, STEPS),
        st.tuples(st.just("promote")),
        st.tuples(st.just("land"), st.sampled_from(["good", "bad"])),
        st.tuples(st.just("kill"), KEYS, st.sampled_from(["build", "judge", "recorded"])),
        st.tuples(st.just("spoil")),
    ),
    min_size=4,
    max_size=10,
)


@pytest.fixture
def prepared(gated: Estate) -> Estate:
    """A database that is copied and not worked on."""
    return gated


BRIEFLY = settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
AT_LENGTH = settings(BRIEFLY, max_examples=40)


@BRIEFLY
@given(deeds=DEEDS)
def test_in_whatever_order_they_come_every_event_is_published_once(
    prepared: Estate, cluster: str, deeds: Deeds
) -> None:
    expect_published_once(prepared, cluster, deeds)


@pytest.mark.long
@AT_LENGTH
@given(deeds=DEEDS)
def test_in_many_more_orders_every_event_is_published_once(prepared: Estate, cluster: str, deeds: Deeds) -> None:
    expect_published_once(prepared, cluster, deeds)


def expect_published_once(prepared: Estate, cluster: str, deeds: Deeds) -> None:
    """Do it all in a copy; whatever a key came to, nothing is there twice, and in the end everything is there."""
    with deployed(cluster, database_name(prepared.database.admin_url)) as database:
        estate = replace(prepared, database=database, landed=list(prepared.landed))
        estate.gate = TaintGate(estate, ["bad"])
        for deed in deeds:
            do(estate, *deed)
            assert estate.rows(DONE_TWICE) == []
        ask(estate, key="last")
        assert estate.rows(PROMOTED_TWICE) == []
        estate.expect_published([each for each in estate.landed if each["tenant_id"] == "good"])
        assert estate.journals_of_nothing() == []


def do(estate: Estate, deed: str, *how: Any) -> None:
    """One deed of a random order."""
    match deed, how:
        case "ask", (key, until):
            assert ask(estate, until, key).state is not PromotionState.FAILED
        case "promote", ():
            estate.promoter().promote()
        case "land", (tenant,):
            fields = {"properties": TAINTED} if tenant == "bad" else {}
            estate.land(*some(tenant, 1, **fields))
        case "kill", (key, point):
            killed_at(point, partial(ask_and_die, estate, PUBLISHED, key=key))
        case "spoil", ():
            with estate.admin() as connection:
                if connection.execute("select to_regclass('candidate.fct_usage_events')").fetchone() != (None,):
                    connection.execute(SPOIL)
