"""Old events are kept: the topic keeps records by when they came, not by when things happened.

A topic that is set as Kafka's default is, with the event's time as the record's, stands beside ours
in the same broker. It loses each of two batches, which shows that the broker sorts out, and when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.chaos import topic
from tests.acceptance.chaos.clients import LATE_DAYS, Kind
from tests.acceptance.chaos.system import TOPIC, System, running_system
from tests.acceptance.chaos.traffic import Traffic
from tests.acceptance.chaos.verdict import judge
from tests.kafka import NewBroker, create_topic

BY_EVENT_TIME = "by_event_time"
WEEK_MILLISECONDS = 7 * 86_400_000
SWEEPS_OFTEN = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "500"}
EVENTS = 2_000
SWEEPS = 2
PUBLISHED = "select tenant_id, count(*)::int, max(occurred_at) from marts.fct_usage_events group by tenant_id"


@pytest.fixture
def system(tmp_path: Path, new_broker: NewBroker) -> Iterator[System]:
    """A broker that sorts out every second; one process of the API, and no consumer yet."""
    with running_system(tmp_path, new_broker, broker_settings=SWEEPS_OFTEN) as system:
        system.start_api()
        yield system


def test_events_of_last_year_survive_the_retention_and_reach_the_marts(system: System, seed: int) -> None:
    traffic = Traffic(system, Random(seed), kinds={Kind.LATE: 1})
    system.wait_until_ready()
    with traffic.flowing():
        traffic.wait_for(EVENTS)
    servers = system.broker.direct_bootstrap
    system.wait_for(lambda: not system.spooled(), "the topic to have everything")
    ends = topic.end_offsets(servers, TOPIC)
    see_sweeps(system)
    assert topic.end_offsets(servers, TOPIC) == ends
    assert set(topic.begin_offsets(servers, TOPIC).values()) == {0}

    system.start_consumer()
    system.wait_until_landed()
    findings = judge(system, traffic)
    system.workbench.run("promote")
    with system.database.connect_admin() as connection:
        published = connection.execute(PUBLISHED).fetchall()
    sent = Counter(tenant for tenant, _ in traffic.book.acknowledged)
    assert {tenant: count for tenant, count, _ in published} == sent
    year_ago = datetime.now(UTC) - timedelta(days=LATE_DAYS - 1)
    assert max(row[2] for row in published) < year_ago
    print(f"{findings.rows:,} events of {LATE_DAYS} days ago are published")


def see_sweeps(system: System) -> None:
    """Wait for two sweeps, each of which takes a batch of old events away where records bear their time."""
    servers = system.broker.direct_bootstrap
    config = {"message.timestamp.type": "CreateTime", "retention.ms": str(WEEK_MILLISECONDS)}
    create_topic(servers, BY_EVENT_TIME, config=config)
    old = int((datetime.now(UTC) - timedelta(days=LATE_DAYS)).timestamp() * 1000)
    for batch in range(1, SWEEPS + 1):
        producer = topic.producer(servers)
        for _ in range(EVENTS):
            producer.produce(BY_EVENT_TIME, value=b"{}", timestamp=old)
        assert producer.flush(topic.PATIENCE_SECONDS) == 0
        assert topic.end_offsets(servers, BY_EVENT_TIME) == {0: batch * EVENTS}
        system.wait_for(
            lambda: topic.begin_offsets(servers, BY_EVENT_TIME) == topic.end_offsets(servers, BY_EVENT_TIME),
            "the broker to sort out what is old",
        )
