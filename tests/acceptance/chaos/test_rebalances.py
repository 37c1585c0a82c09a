"""Rebalances again and again, under load: a foreign member takes partitions, lands nothing, and goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event as Signal

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.chaos.system import SESSION_SECONDS, TOPIC, System, running_system
from tests.acceptance.chaos.traffic import Traffic
from tests.acceptance.chaos.verdict import judge
from tests.kafka import NewBroker

GROUP = "workbench_landing"
SECONDS_BETWEEN = 5.0
POLL_SECONDS = 0.1


@pytest.fixture
def system(tmp_path: Path, new_broker: NewBroker) -> Iterator[System]:
    """One process of the API, two consumers."""
    with running_system(tmp_path, new_broker) as system:
        system.start_api()
        system.start_consumer()
        system.start_consumer()
        yield system


def test_a_rebalance_every_few_seconds_loses_and_doubles_nothing(system: System, seed: int, rebalances: int) -> None:
    random = Random(seed)
    traffic = Traffic(system, random)
    system.wait_until_ready()
    with traffic.flowing():
        system.wait_for(lambda: all(map(system.landed_by, system.consumers)), "both to land")
        for _ in range(rebalances):
            began, events = time.monotonic(), traffic.book.events
            come_and_go(system, seconds=random.uniform(0.2, SECONDS_BETWEEN / 2))
            Signal().wait(max(0.0, began + SECONDS_BETWEEN - time.monotonic()))
            assert traffic.is_well()
            assert traffic.book.events > events
    system.wait_until_landed()
    findings = judge(system, traffic)
    assignments = [consumer.told("assigned:") for consumer in system.consumers]
    print(f"{findings.rows:,} stored, {findings.records:,} records, assignments {assignments}")
    assert min(assignments) > rebalances


def come_and_go(system: System, *, seconds: float) -> None:
    """Be a member of the group for so long, with partitions."""
    assigned: list[TopicPartition] = []
    member = Consumer(
        {
            "bootstrap.servers": system.broker.direct_bootstrap,
            "group.id": GROUP,
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": SESSION_SECONDS * 1000,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "log_level": 0,
        }
    )
    member.subscribe([TOPIC], on_assign=lambda _, partitions: assigned.extend(partitions))

    def poll() -> bool:
        member.poll(POLL_SECONDS)
        return bool(assigned)

    system.wait_for(poll, "partitions for the third member")
    leaving = time.monotonic() + seconds
    while time.monotonic() < leaving:
        poll()
    member.close()
