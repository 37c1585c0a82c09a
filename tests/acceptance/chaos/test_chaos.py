"""Any mix of faults, in Kafka mode: what was acknowledged is stored once, and everything is accounted for.

Clients send all kinds of events and retry; poison lies in the topic; whatever can fail does. At the
end the database agrees event by event with what the clients were told and with what is in the topic.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.chaos.faults import Faults, plan
from tests.acceptance.chaos.system import System, running_system
from tests.acceptance.chaos.traffic import Traffic
from tests.acceptance.chaos.verdict import Findings, judge
from tests.kafka import NewBroker

NO_DATABASE = "Error: PostgreSQL does not answer"


@pytest.fixture
def system(tmp_path: Path, new_broker: NewBroker) -> Iterator[System]:
    """Two processes of the API, two consumers."""
    with running_system(tmp_path, new_broker) as system:
        system.start_api()
        system.start_api()
        system.start_consumer()
        system.start_consumer()
        yield system


def test_whatever_fails_nothing_acknowledged_is_lost_or_counted_twice(
    system: System, run: int, seed: int, faults: int, events: int
) -> None:
    random = Random(seed + run)
    traffic, happening = Traffic(system, random), Faults(system)
    system.wait_until_ready()
    began = time.monotonic()
    with traffic.flowing():
        happening.run(plan(faults, random), traffic)
        traffic.wait_for(max(0, events - traffic.book.events))
    sent = time.monotonic()
    system.wait_until_landed()
    landed = time.monotonic()
    findings = judge(system, traffic)
    print(f"seed {seed + run}, {faults} faults:", happening.told())
    print_figures(traffic, findings, system)
    print(
        f"{sent - began:.0f} s of traffic, {landed - sent:.0f} s until all had landed, "
        f"{findings.rows / (landed - began):,.0f} events stored per second; {time.monotonic() - landed:.0f} s to judge"
    )
    assert happening.happened.total() == faults
    for consumer in system.consumers:
        # It does not begin without a database; nothing else ends it.
        assert consumer.ended_by_itself == consumer.told(NO_DATABASE), consumer.last_lines()


def print_figures(traffic: Traffic, findings: Findings, system: System) -> None:
    """What happened, for the reader of `make chaos`."""
    book, kinds = traffic.book, traffic.poisoner.kinds
    print(f"{book.events:,} events in {book.requests:,} requests, {book.tries:,} tries: {dict(book.outcomes)}")
    print("sent:", {str(kind): count for kind, count in book.sent.items()})
    print(f"{kinds.total()} poison records:", dict(kinds))
    print(
        f"{findings.records:,} records: {findings.rows:,} stored, {findings.duplicates:,} duplicates, "
        f"dead letters {dict(findings.letters)}; {findings.taken_in_doubt} of the stored were never answered"
    )
    ended = {each.name: each.ended_by_itself for each in (*system.apis, *system.consumers)}
    print("ended at their start, without a database:", ended)
