"""What readers see while something is published, and whether anybody waits for anybody."""

from __future__ import annotations

import time

import psycopg

from conformance.port import Answer, Answers
from conformance.scenario import Scenario, Trial, told
from conformance.watching import Locks, OpenReader, Totals

TENANTS = ("acme", "globex", "initech")


def _read_on(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    trial.land(*TENANTS)
    trial.publish()
    connect, reading = trial.subject.as_analyst, trial.reading
    with (
        Totals(connect, reading, repeatable=False) as single,
        Totals(connect, reading, repeatable=True) as repeatable,
    ):
        for _ in range(trial.effort.publications):
            trial.land(*TENANTS)
            trial.publish()
    readers = (single, repeatable)
    empty, errors = sum(reader.empty for reader in readers), sum(reader.errors for reader in readers)
    worst = next((reader.example for reader in readers if reader.errors), "")
    return [
        *(_agreed(reader) for reader in readers),
        Answer(
            not empty and not errors, f"{empty:,} empty reads, {errors:,} errors" + (f" ({worst})" if worst else "")
        ),
    ]


def _agreed(reader: Totals) -> Answer:
    detail = f"{reader.violations:,} of {reader.reads:,} reads disagreed"
    return Answer(not reader.violations, detail)


def _hold_a_snapshot(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    trial.land(*TENANTS)
    trial.publish()
    before = trial.totals()
    with trial.subject.as_analyst() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            # It takes the snapshot, and no lock on anything that is published.
            connection.execute("select now()")
            trial.land(*TENANTS)
            trial.publish()
            seen = trial.totals_on(connection)
    return [Answer(seen == before, f"before: {told(before)}; the snapshot then sees {told(seen)}")]


def _stay_open(trial: Trial) -> Answers:
    trial.landing.add_tenants(TENANTS)
    trial.land(*TENANTS)
    trial.publish()
    trial.land(*TENANTS)
    alone = _seconds_to_publish(trial)
    trial.land(*TENANTS)
    connect, reading, patience = trial.subject.as_analyst, trial.reading, trial.effort.patience_seconds
    with (
        Locks(trial.database, reading.published) as locks,
        OpenReader(connect, reading, lambda: locks.publisher_waited >= patience),
        Totals(connect, reading, repeatable=False) as later,
    ):
        beside = _seconds_to_publish(trial)
    waited = f"waited {locks.publisher_waited:.1f} s for it; {alone:.1f} s alone, {beside:.1f} s beside the reader"
    stalled = f"readers stood in a queue for {locks.readers_waited:.1f} s; the longest read took {later.longest:.2f} s"
    exclusive = f"on {', '.join(sorted(locks.exclusive))}" if locks.exclusive else f"none in {locks.looks:,} looks"
    return [
        Answer(not locks.publisher_waited, waited),
        Answer(not locks.readers_waited, stalled),
        Answer(not locks.exclusive, exclusive),
    ]


def _seconds_to_publish(trial: Trial) -> float:
    began = time.perf_counter()
    trial.publish()
    return time.perf_counter() - began


READERS = Scenario(
    name="readers",
    promises=(
        "One statement over two tables agrees, at every moment",
        "Two statements of one snapshot agree, at every moment",
        "No reader meets an empty table or an error",
    ),
    run=_read_on,
)
SNAPSHOT = Scenario(
    name="snapshot",
    promises=("A snapshot from before a publication keeps its rows",),
    run=_hold_a_snapshot,
)
OPEN_READER = Scenario(
    name="open reader",
    promises=(
        "Publishing does not wait for a reader that stays open",
        "Later readers do not wait either",
        "No ACCESS EXCLUSIVE lock on what is published",
    ),
    run=_stay_open,
)
