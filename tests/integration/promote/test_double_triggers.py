"""Several who act at once, in threads and in processes: one after the other, and never twice."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from pipeline.core.errors import HoldError, RollbackError, WorkbenchError
from tests.integration.promote.estate import AROUND, Estate, Event, event
from tests.integration.promote.taint import TaintGate

ACT: dict[str, Any] = {"actor": "sam", "reason": "because"}
ROUNDS = 2
OPEN_HOLDS = "select count(*) from control.holds where state = 'open' and tenant_id = %s"
PROMOTED_TWICE = """
select tenant_id, count(*) from control.promotion_tenants where promoted and undone_at is null
group by tenant_id, from_xid having count(*) > 1
"""
STATES = "select distinct state from control.promotions"


def some(tenant: str, count: int, **fields: Any) -> list[Event]:
    """Events of one day."""
    return [event(tenant, AROUND + timedelta(minutes=i), **fields) for i in range(count)]


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each answered, or the error that it raised; they begin together."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        together.wait(20)
        try:
            return act()
        except WorkbenchError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def raised(outcomes: Sequence[object], kind: type[WorkbenchError]) -> int:
    """How many raised it; nobody may raise anything else."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, WorkbenchError)]
    assert all(isinstance(error, kind) for error in errors), errors
    return len(errors)


@pytest.fixture
def gated(estate: Estate) -> Estate:
    """With a gate that fails what is tainted."""
    estate.gate = TaintGate(estate, ["bad"])
    return estate


def test_of_many_promoters_in_threads_and_processes_one_promotes(gated: Estate) -> None:
    gated.tenants("one", "two")
    for _ in range(ROUNDS):
        gated.land(*some("one", 5), *some("two", 3))
        promoters = [gated.promoter() for _ in range(3)]
        processes = [multiprocessing.get_context("fork").Process(target=gated.promoter().promote) for _ in range(2)]
        for process in processes:
            process.start()
        outcomes = at_once(*(promoter.promote for promoter in promoters))
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert raised(outcomes, WorkbenchError) == 0
        gated.expect_published(gated.landed)
    assert gated.rows(PROMOTED_TWICE) == []
    assert set(gated.rows(STATES)) <= {("published",), ("nothing_new",)}
    # So many promotions published, and no more.
    published = "select count(*) from control.promotions where state = 'published'"
    assert gated.value(published) == ROUNDS


def test_a_promotion_and_a_rollback_take_turns(gated: Estate) -> None:
    for number in range(ROUNDS):
        name = f"turns-{number}"
        gated.tenants(name)
        gated.land(*some(name, 5))
        first = gated.promoter().promote(tenants=[name]).id
        gated.land(*some(name, 4))
        cascade = number % 2 == 0
        promoted, undone = at_once(
            gated.promoter().promote,
            partial(gated.promoter().rollback, first, cascade=cascade, **ACT),
        )
        assert raised([promoted], WorkbenchError) == 0
        if raised([undone], RollbackError):
            # The promotion was first, and nobody asked to undo it too.
            assert not cascade
            assert gated.value("select count(*) from marts.fct_usage_events where tenant_id = %s", name) == 9
            assert gated.value(OPEN_HOLDS, name) == 0
        else:
            assert [key for key in gated.hashes() if key[0] == name] == []
            assert gated.value(OPEN_HOLDS, name) == 1
    assert gated.journals_of_nothing() == []


def test_a_hold_is_released_once(gated: Estate) -> None:
    for number in range(ROUNDS):
        name = held(gated, f"released-{number}")
        outcomes = at_once(*(partial(gated.promoter().release, name, **ACT) for _ in range(3)))
        assert raised(outcomes, HoldError) == 2
        assert (
            gated.value("select count(*) from control.promotion_tenants where tenant_id = %s and promoted", name) == 1
        )
    gated.expect_published(gated.landed)


@pytest.mark.parametrize("rules_change", [False, True])
def test_release_discard_rerun_and_schedule_come_in_some_order_and_only_the_first_decides(
    gated: Estate, rules_change: bool
) -> None:
    gate = gated.gate
    assert isinstance(gate, TaintGate)
    for number in range(ROUNDS):
        gate.rules = frozenset(["bad"])
        name = held(gated, f"decided-{number}")
        # Then the schedule, and who judges again, let it through.
        gate.rules = frozenset() if rules_change else gate.rules
        outcomes = at_once(
            partial(gated.promoter().release, name, **ACT),
            partial(gated.promoter().discard, name, **ACT),
            partial(gated.promoter().rerun, [name], actor="sam"),
            gated.promoter().promote,
        )
        assert raised(outcomes, HoldError) >= 1
        facts = "select count(*) from marts.fct_usage_events where tenant_id = %s"
        discarded = "select count(*) from raw.discarded_events where tenant_id = %s"
        assert (gated.value(facts, name), gated.value(discarded, name)) in ((5, 0), (0, 5))
        assert gated.value(OPEN_HOLDS, name) == 0
        assert gated.value("select count(*) from control.holds where tenant_id = %s", name) == 1
    kept = set(gated.rows("select tenant_id, event_id from raw.discarded_events"))
    gated.expect_published(e for e in gated.landed if (e["tenant_id"], e["event_id"]) not in kept)
    assert gated.rows(PROMOTED_TWICE) == []


def held(estate: Estate, name: str) -> str:
    """A tenant whose first events are held."""
    estate.tenants(name)
    estate.land(*some(name, 4), *some(name, 1, properties={"taint": "bad"}))
    assert estate.promoter().promote(tenants=[name]).held.keys() == {name}
    return name
