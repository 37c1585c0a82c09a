"""What a consumer tells of itself: delays, rates, state, and metrics, from deliveries that are made up."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.core.errors import DatabaseUnavailable, StackError
from pipeline.stream.consumption import Landed
from pipeline.stream.delivery import Delivery, Move, Origin, Settled
from pipeline.stream.looking import Extent
from tests.factories import MOMENT, event
from workbench.accounting.ledger import LedgerHour
from workbench.cli.consume_view import LogLines, line, state
from workbench.consuming.delays import SAMPLES, Delays, sample_delays
from workbench.consuming.figures import Figures
from workbench.consuming.metrics import ConsumerMetrics, served
from workbench.consuming.refreshed import Refreshed
from workbench.consuming.standing import Account, Standing, behind


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def landed(events: int = 1, *, lag: Mapping[int, int] | None = None, **settled: int) -> Landed:
    """A delivery of so many equal events of partition 0."""
    delivery = Delivery(
        topic="t",
        events=[event()] * events,
        origins=[Origin("t", 0, offset) for offset in range(events)],
        undecodable=[],
        moves={0: Move(expected=0, next=events)},
    )
    return Landed(delivery=delivery, settled=Settled(**(settled or {"stored": events})), seconds=0.1, lag=lag or {0: 0})


def standing(
    lag: Mapping[int, int] | None = None, account: Account | None = None, problem: str | None = None
) -> Standing:
    """A standing that answers so."""
    answers = SimpleNamespace(lag=lambda **_: lag, account=lambda **_: account, problem=problem)
    return cast(Standing, answers)


def test_of_a_large_delivery_only_some_events_are_looked_at_and_they_stand_for_all() -> None:
    for events in (0, 1, 99, 100, 101, 10_000):
        samples = sample_delays(landed(events).delivery, MOMENT + timedelta(seconds=2))
        assert len(samples) <= SAMPLES
        assert {delay for delay, _ in samples} <= {2.0}
        assert events * 0.9 <= sum(weight for _, weight in samples) <= events * 1.1 + 1 or events < SAMPLES


def test_a_clock_that_is_behind_gives_no_negative_delay() -> None:
    assert sample_delays(landed().delivery, MOMENT - timedelta(seconds=5)) == [(0.0, 1)]


def test_quantiles_are_right_to_a_twentieth_and_forget_after_a_minute() -> None:
    clock = Clock()
    delays = Delays(clock)
    assert delays.quantiles([0.5]) is None
    delays.add([(number / 100, 1) for number in range(1, 101)])
    assert delays.quantiles([0.5, 0.95, 0.99]) == pytest.approx([0.5, 0.95, 0.99], rel=0.05)
    clock.now += 30
    delays.add([(10.0, 10_000)])
    assert delays.quantiles([0.5]) == pytest.approx([10], rel=0.05)
    clock.now += 61
    assert delays.quantiles([0.5]) is None


def test_memory_of_delays_is_bounded() -> None:
    clock = Clock()
    delays = Delays(clock)
    for _ in range(300):
        delays.add([(number * 0.7, 1) for number in range(500)])
        clock.now += 1
    assert sum(len(counted) for _, counted in delays._seconds) <= 60 * 300


def test_figures_count_and_rates_are_of_the_last_seconds() -> None:
    clock = Clock()
    figures = Figures(clock)
    assert (figures.rate, figures.busy) == (0.0, False)
    figures.observe(landed(90, stored=80, duplicate=9, dead_lettered=1), [(0.25, 90)])
    figures.observe(landed(10), [(0.25, 10)])
    assert (figures.records, figures.rate, figures.busy) == (100, 10.0, True)
    assert figures.settled == Settled(stored=90, duplicate=9, dead_lettered=1)
    told = line(figures)
    assert "landed 100 records (10/s): 90 stored, 9 duplicate, 1 dead-lettered; lag 0 in 1 partitions" in told
    assert "p95 248 ms" in told
    clock.now += 11
    assert (figures.records, figures.rate, figures.busy) == (100, 0.0, False)


def test_the_lag_is_that_of_the_last_landing_until_it_is_old() -> None:
    clock = Clock()
    figures = Figures(clock)
    figures.observe(landed(lag={0: 5}), [])
    assert figures.lag({0: 9, 1: 3}) == {0: 5, 1: 3}
    clock.now += 60
    assert figures.lag({0: 9, 1: 3}) == {0: 9, 1: 3}
    assert figures.lag(None) == {0: 5}


def test_the_state_tells_why_nothing_lands() -> None:
    clock = Clock()
    figures = Figures(clock)
    assert state(figures, {}, problem=None, warning="") == "waiting for its partitions"
    assert state(figures, {0: 0}, problem=None, warning="old") == "waiting for records"
    assert state(figures, {0: 7}, problem=None, warning="PostgreSQL is away.") == "waiting: PostgreSQL is away."
    assert state(figures, {0: 0}, problem="No broker answers.", warning="") == "waiting: No broker answers."
    figures.observe(landed(), [])
    assert state(figures, {0: 7}, problem="old", warning="old") == "landing"


def test_the_log_has_a_line_when_something_landed_and_one_when_nothing_can(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    figures, watched = Figures(), cast(Any, standing())
    lines = LogLines(figures, watched, logging.getLogger("tests"))
    lines()
    assert caplog.messages == []
    figures.observe(landed(3), [])
    lines()
    watched.problem = "No broker answers."
    lines()
    lines()
    watched.problem = None
    lines()
    lines()
    assert [message.split(" (")[0] for message in caplog.messages] == [
        "landed 3 records", "nothing lands: No broker answers.", "broker and database answer again",
    ]  # fmt: skip


def test_something_costly_is_read_once_for_all_who_ask_and_again_when_it_is_old() -> None:
    clock, reads = Clock(), itertools.count(1)
    refreshed = Refreshed(lambda: next(reads), every_seconds=10, clock=clock)
    assert [refreshed.value(patience=5) for _ in range(3)] == [1, 1, 1]
    clock.now += 10
    assert refreshed.value(patience=5) == 2


def test_a_slow_answer_is_not_waited_for_and_an_error_is_kept_as_the_problem() -> None:
    clock, go = Clock(), threading.Event()

    def read() -> int:
        go.wait(10)
        if clock.now > 1_000:
            raise DatabaseUnavailable("It is away.")
        return 7

    refreshed = Refreshed(read, every_seconds=10, clock=clock)
    assert refreshed.value(patience=0) is None
    go.set()
    assert refreshed.value(patience=5) == 7
    clock.now += 10
    assert refreshed.value(patience=5) is None
    assert refreshed.problem == "It is away."


def test_behind_are_the_records_that_are_there_and_have_not_landed() -> None:
    extent = Extent(beginning=10, end=30)
    assert [behind(extent, offset) for offset in (None, 0, 10, 25, 30, 99)] == [20, 20, 20, 5, 0, 0]


def read_metrics(metrics: ConsumerMetrics) -> dict[tuple[str, str], float]:
    """Value by name and labels, over HTTP."""
    with served(metrics, host="127.0.0.1", port=0) as url:
        text = httpx.get(url, trust_env=False).text
    return {
        (sample.name, ",".join(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_tell_delays_fates_lag_dead_letters_and_the_ledger() -> None:
    hour = LedgerHour(
        tenant_id="acme", hour=MOMENT.replace(minute=0), accepted=9, stored=4, duplicate=2, dead_lettered=1, in_flight=2
    )
    unknown = LedgerHour(
        tenant_id="globex", hour=hour.hour, accepted=1, stored=1, duplicate=0, dead_lettered=0, in_flight=None
    )
    account = Account(hours=[hour, unknown], open_letters={"conflict": 3})
    figures = Figures()
    metrics = ConsumerMetrics(standing({0: 5, 11: 0}, account), figures.delays)
    delivery = landed(20, stored=15, duplicate=4, dead_lettered=1)
    samples = [(0.2, 20)]
    figures.observe(delivery, samples)
    metrics.observe(delivery, samples)

    found = read_metrics(metrics)
    assert found["workbench_landed_records_total", "stored"] == 15
    assert found["workbench_landed_records_total", "dead_lettered"] == 1
    assert found["workbench_accept_to_stored_seconds_count", ""] == 1
    for quantile in ("0.5", "0.95", "0.99"):
        assert found["workbench_accept_to_stored_recent_seconds", quantile] == pytest.approx(0.2, rel=0.05)
    assert found["workbench_landing_seconds_sum", ""] == pytest.approx(0.1)
    assert found["workbench_stream_lag_records", "0"] == 5
    assert found["workbench_dead_letters_open", "conflict"] == 3
    ledger = {fate: found["workbench_ledger_events", f"{fate},2026-03-02T10:00Z,acme"] for fate in (
        "accepted", "stored", "duplicate", "dead_lettered", "in_flight"
    )}  # fmt: skip
    assert ledger.pop("accepted") == sum(ledger.values()) == 9
    assert ("workbench_ledger_events", "in_flight,2026-03-02T10:00Z,globex") not in found
    assert found["workbench_ledger_up", ""] == found["workbench_broker_up", ""] == 1


def test_metrics_are_served_while_database_and_broker_are_away() -> None:
    found = read_metrics(ConsumerMetrics(standing(), Delays()))
    assert found["workbench_ledger_up", ""] == found["workbench_broker_up", ""] == 0
    assert found["workbench_landed_records_total", "stored"] == 0


def test_a_port_in_use_is_told_with_a_remedy() -> None:
    with served(ConsumerMetrics(standing(), Delays()), host="127.0.0.1", port=0) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        again = served(ConsumerMetrics(standing(), Delays()), host="127.0.0.1", port=port)
        with pytest.raises(StackError, match="metrics"), again:
            pass
