"""kill -9, and a lost session, at every point of a promotion, a release, a discard and a rollback.

The points are those of an undisturbed run. Each death happens in a copy of one prepared database;
afterwards everything of the act is there or nothing is, and whoever carries on ends where the
undisturbed run ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from pipeline.core import audit
from pipeline.core.database import database_name
from pipeline.core.errors import DatabaseUnavailable, HoldError, RollbackError, WorkbenchError
from pipeline.promote.promoter import Promoter
from pipeline.promote.steps import Tell
from tests.conftest import deployed
from tests.integration.promote.estate import AROUND, NAMES, Estate, Event, event
from tests.integration.promote.taint import TaintGate

pytestmark = pytest.mark.long

ACT: dict[str, Any] = {"actor": "sam", "reason": "because"}
TAINTED = {"taint": "bad"}
STATE = {
    "progress": "select tenant_id, promotion_id is null, held, models_fingerprint from control.promotion_progress",
    "holds": "select tenant_id, state, cause, verdict, raw_rows, decided_by from control.holds",
    "promoted": "select tenant_id, undone_at is null from control.promotion_tenants where promoted",
    "discarded": "select tenant_id, event_id from raw.discarded_events",
    "told of holds": "select tenant_id from control.notifications where kind = 'tenant.held'",
    "decisions": "select tenant_id, action from control.audit_log where action not in ('release hold')",
    "journals": " union all ".join(f"select '{name}', tenant_id, existed from journal.{name}" for name in NAMES),  # noqa: S608
}
FEWEST_POINTS = {"promote": 8, "release": 8, "discard": 3, "rollback": 6}
NEWEST = "select max(promotion_id) from control.promotions where state = 'published'"
LEDGER = "select promotion_id, state from control.promotions order by promotion_id"
TOLD_OF_FAILURES = "select promotion_id from control.notifications where kind = 'promotion.failed' order by 1"
LOSE_SESSION = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'workbench_promotion' and datname = current_database()
"""

State = dict[str, Any]
Act = Callable[[Promoter], object]


@dataclass(frozen=True)
class Deed:
    """Something that may be interrupted; repeated where it had not happened, it is refused where it had."""

    act: Act
    refused: type[WorkbenchError] | None = None
    points: Callable[[str], bool] = lambda _: True
    """Those that are worth a death."""


LAST = NAMES[-1]
MOST_DIFFERENT = {
    "plan",
    "judge",
    "claimed",
    f"noted {LAST}",
    f"merged {LAST}",
    f"restored {NAMES[0]}",
    f"restored {LAST}",
    f"restored {LAST} again (2)",
    "recorded",
    "publish",
    "tidy",
    "done",
}


def few(point: str) -> bool:
    """The points at which something else is going on than at the one before."""
    return point in MOST_DIFFERENT or point.startswith("decid")


DEEDS = {
    "promote": Deed(lambda promoter: promoter.promote()),
    "release": Deed(lambda promoter: promoter.release("bad", **ACT), HoldError, few),
    "discard": Deed(lambda promoter: promoter.discard("bad", **ACT), HoldError),
    "rollback": Deed(lambda promoter: promoter.rollback(2, cascade=True, **ACT), RollbackError, few),
}


def some(tenant: str, count: int, *, hours: int = 0, **fields: Any) -> list[Event]:
    """Events over three days, three users and four sessions."""
    places = [(AROUND + timedelta(hours=hours + 5 * i), f"u{i % 3}", f"s{i % 4}") for i in range(count)]
    return [event(tenant, at, user_id=user, session_id=session, **fields) for at, user, session in places]


@pytest.fixture
def prepared(estate: Estate) -> Estate:
    """Tenants that go on, begin, begin anew and are bad: all of it published once, and more landed."""
    estate = replace(estate, gate=TaintGate(estate, ["bad"]))
    estate.tenants("goes-on", "begins", "anew", "bad")
    estate.land(*some("goes-on", 12), *some("anew", 8), *some("bad", 6))
    estate.promoter().promote()
    estate.land(*some("goes-on", 8, hours=2), *some("anew", 4, hours=30), *some("begins", 6))
    estate.land(*some("bad", 4, hours=1), *some("bad", 1, properties=TAINTED))
    with estate.admin() as connection:
        connection.execute(
            "update control.promotion_progress set models_fingerprint = 'older' where tenant_id = 'anew'"
        )
        connection.execute("update marts.dim_users set events = 99 where tenant_id = 'anew' and user_id = 'u0'")
        connection.execute("delete from marts.active_users where tenant_id = 'anew' and period = 'week'")
    return estate


def prepare(estate: Estate, deed: str) -> None:
    """What must have happened before the deed."""
    if deed != "promote":
        estate.promoter().promote()
        estate.land(*some("bad", 3, hours=60), *some("goes-on", 3, hours=4))
    if deed == "rollback":
        estate.promoter().promote(tenants=["goes-on"])


@pytest.mark.parametrize("deed", DEEDS)
def test_killed_at_any_point_all_of_it_happened_or_nothing(
    prepared: Estate, cluster: str, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    def die_at(point: str, estate: Estate) -> None:
        def hear(at: str) -> None:
            if at == point:
                os.kill(os.getpid(), signal.SIGKILL)

        killed(lambda: perform(DEEDS[deed].act, estate, hear, monkeypatch))

    interrupt_everywhere(prepared, cluster, monkeypatch, deed, die_at, DEEDS[deed].points)


@pytest.mark.parametrize("deed", ["promote", "rollback"])
def test_a_session_lost_at_any_point_all_of_it_happened_or_nothing(
    prepared: Estate, cluster: str, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    def lose_at(point: str, estate: Estate) -> None:
        def hear(at: str) -> None:
            if at == point:
                estate.rows(LOSE_SESSION)

        with suppress(DatabaseUnavailable):
            perform(DEEDS[deed].act, estate, hear, monkeypatch)

    interrupt_everywhere(prepared, cluster, monkeypatch, deed, lose_at, few)


def interrupt_everywhere(
    prepared: Estate,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
    deed: str,
    interrupt_at: Callable[[str, Estate], None],
    chosen: Callable[[str], bool],
) -> None:
    """The deed undisturbed, and interrupted at each of its points, each in a copy of its own."""
    prepare(prepared, deed)
    points: list[str] = []
    with copied(prepared, cluster) as undisturbed:
        before = state(undisturbed)
        perform(DEEDS[deed].act, undisturbed, points.append, monkeypatch)
        after = state(undisturbed)
        undisturbed.promoter().promote()
        final = state(undisturbed)
    assert before != after
    outcomes = {}
    for point in filter(chosen, points):
        with copied(prepared, cluster) as estate:
            interrupt_at(point, estate)
            found = state(estate)
            assert found in (before, after), f"{deed} until {point!r} left {differences(found, before, after)}"
            outcomes[point] = found == after
            carry_on(estate, deed, point, happened=found == after)
            ended = state(estate)
            assert ended == final, f"{deed} until {point!r} and on: {differences(ended, final)}"
            assert estate.journals_of_nothing() == []
    print(deed, outcomes)
    assert len(outcomes) >= FEWEST_POINTS[deed]
    # There is one moment from which on all of it is there.
    assert list(outcomes.values()) == sorted(outcomes.values())
    assert set(outcomes.values()) == {False, True}


def carry_on(estate: Estate, deed: str, point: str, *, happened: bool) -> None:
    """Do it again, as whoever asked for it would, and promote; the ledger and the outbox tell of the death once."""
    again = DEEDS[deed]
    if not happened:
        again.act(estate.promoter())
    elif again.refused:
        with pytest.raises(again.refused):
            again.act(estate.promoter())
    if happened or deed != "promote":
        estate.promoter().promote()
    ledger = dict(estate.rows(LEDGER))
    failed = [promotion for promotion, at in ledger.items() if at == "failed"]
    assert set(ledger.values()) <= {"published", "rolled_back", "nothing_new", "failed"}, point
    assert len(failed) <= 1, (point, ledger)
    assert [row[0] for row in estate.rows(TOLD_OF_FAILURES)] == failed, point


def test_what_was_published_after_a_kill_can_be_undone(
    prepared: Estate, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepared.hashes()
    for point in ("merged active_users", "recorded", "publish"):

        def hear(at: str, point: str = point) -> None:
            if at == point:
                os.kill(os.getpid(), signal.SIGKILL)

        with copied(prepared, cluster) as estate:
            killed(lambda: perform(DEEDS["promote"].act, estate, hear, monkeypatch))
            estate.promoter().promote()
            estate.promoter().rollback(estate.value(NEWEST), **ACT)
            assert estate.hashes() == before, point


def state(estate: Estate) -> State:
    """Everything that must be there as a whole or not at all, but for ids and times."""
    with estate.admin() as connection:
        found = {name: Counter(connection.execute(query).fetchall()) for name, query in STATE.items()}
    return {**found, "marts": estate.hashes()}


def differences(found: State, *others: State) -> dict[str, Any]:
    """What of it is as nowhere else."""
    return {
        part: (value, [other[part] for other in others])
        for part, value in found.items()
        if value not in [other[part] for other in others]
    }


class Points:
    """Hears of each point of a deed, and numbers those that come again."""

    def __init__(self, hear: Tell) -> None:
        self._hear = hear
        self._heard: Counter[str] = Counter()

    def __call__(self, point: str) -> None:
        """One point."""
        self._heard[point] += 1
        again = self._heard[point]
        self._hear(point if again == 1 else f"{point} again ({again})")


def perform(act: Act, estate: Estate, hear: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do it; `hear` is told every point: the promoter's own, around each entry in the audit log, and the end."""
    points = Points(hear)
    record = audit.record

    def told(*args: Any, **kwargs: Any) -> None:
        points(f"deciding on {kwargs['tenant_id']}")
        record(*args, **kwargs)
        points(f"decided on {kwargs['tenant_id']}")

    with monkeypatch.context() as patched:
        patched.setattr(audit, "record", told)
        act(estate.promoter(reached=points))
    points("done")


def killed(work: Callable[[], None]) -> None:
    """Run it in a process that kills itself."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, process.exitcode


@contextmanager
def copied(estate: Estate, cluster: str) -> Iterator[Estate]:
    """The same in a database of its own."""
    with deployed(cluster, database_name(estate.database.admin_url)) as database:
        copy = replace(estate, database=database)
        copy.gate = TaintGate(copy, ["bad"])
        yield copy
