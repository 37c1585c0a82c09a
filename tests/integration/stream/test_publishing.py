"""Publishing to a real broker that is killed, paused and misconfigured, by processes that are killed.

Every acknowledged event is in the topic afterwards, and each tenant's in the order of publishing.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.partitioner import DefaultPartitioner

from broker.local import LocalBroker
from broker.ports import free_port
from broker.proxy import FaultyProxy
from pipeline.core.clock import hour_of
from pipeline.core.events import Event, Fate
from pipeline.stream import broker as generations
from pipeline.stream.kafka import KafkaPublisher
from pipeline.stream.record import decode_event, encode_event
from pipeline.stream.spool import Row, Spool, count_spooled
from pipeline.stream.topic import wanted_configs
from tests.factories import MOMENT, event
from tests.integration.stream.publishing import PARTITIONS, settings_of
from tests.integration.stream.topics import administration, read_events, read_topic
from tests.kafka import NewBroker, SharedBroker

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 60
SLACK_SECONDS = 3
ROOM = 1 << 28


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def start(servers: str, topic: str, folder: Path, *, room: int = ROOM) -> KafkaPublisher:
    publisher = KafkaPublisher(settings_of(servers, topic), spool=Spool(folder, most_bytes=room))
    await publisher.open()
    return publisher


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def started(servers: str, topic: str, folder: Path) -> KafkaPublisher:
    publisher = await start(servers, topic, folder)
    await until(lambda: not publisher.away)
    return publisher


class Clients:
    """Clients that publish one event after the other, each of a tenant of its own, until they are told to end."""

    def __init__(self, publisher: KafkaPublisher, clients: int) -> None:
        self.acknowledged: dict[UUID, Fate] = {}
        self.slowest_seconds = 0.0
        self._publisher = publisher
        self._ending = False
        self._tasks = [asyncio.create_task(self._publish(f"tenant-{number}")) for number in range(clients)]

    async def _publish(self, tenant_id: str) -> None:
        index = 0
        while not self._ending:
            sent = event(tenant_id=tenant_id, user_id=str(index))
            began = time.monotonic()
            [landed] = await self._publisher.publish([sent])
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            self.acknowledged[sent.event_id] = landed.fate
            index += 1

    def count(self, fate: Fate) -> int:
        return sum(each is fate for each in self.acknowledged.values())

    async def until(self, fate: Fate, more: int) -> None:
        """Wait until so many more events had this fate."""
        wanted = self.count(fate) + more
        await until(lambda: self.count(fate) >= wanted)

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)


def assert_in_order(events: list[Event]) -> None:
    """Each tenant's events are numbered without a gap."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for each in events:
        numbers[each.tenant_id].append(int(each.user_id or ""))
    for tenant_id, found in numbers.items():
        assert found == list(range(len(found))), tenant_id


async def test_events_are_records_as_any_client_would_place_them(
    durable_broker: SharedBroker, topic: str, tmp_path: Path
) -> None:
    publisher = await started(durable_broker.bootstrap, topic, tmp_path)
    sent = [event(tenant_id=f"tenant-{number % 7}") for number in range(100)]
    landed = await publisher.publish(sent)
    assert {each.fate for each in landed} == {Fate.PUBLISHED}
    assert (await publisher.check()).durable_by == "broker"
    await publisher.close()
    records = await read_topic(durable_broker.bootstrap, topic)
    assert {decode_event(record.value).event_id for record in records} == {each.event_id for each in sent}
    partitions = list(range(PARTITIONS))
    for record in records:
        assert record.key == decode_event(record.value).tenant_id.encode()
        assert record.partition == DefaultPartitioner()(record.key, partitions, partitions)
        assert record.timestamp_type == 1  # the broker's, when it appended
        assert abs(record.timestamp / 1000 - time.time()) < PATIENCE_SECONDS


async def test_events_larger_than_a_batch_and_publishes_of_many_batches_go(
    durable_broker: SharedBroker, topic: str, tmp_path: Path
) -> None:
    publisher = await started(durable_broker.bootstrap, topic, tmp_path)
    incompressible = bytes(range(256)) * 2500
    sent = [event(original=incompressible), event(), *(event(original=incompressible[:9000]) for _ in range(300))]
    assert len(incompressible) > generations.BATCH_BYTES
    landed = await publisher.publish(sent)
    assert {each.fate for each in landed} == {Fate.PUBLISHED}
    await publisher.close()
    assert await read_events(durable_broker.bootstrap, topic) == sent


async def test_a_broker_killed_in_the_middle_costs_no_event_and_no_order(
    own_broker: LocalBroker, topic: str, tmp_path: Path
) -> None:
    publisher = await started(own_broker.bootstrap, topic, tmp_path)
    clients = Clients(publisher, 40)
    for _ in range(2):
        await clients.until(Fate.PUBLISHED, 500)
        await asyncio.to_thread(own_broker.kill)
        await clients.until(Fate.SPOOLED, 500)
        readiness = await publisher.check()
        assert readiness.durable_by == "spool"
        assert f"The broker at {own_broker.bootstrap} has not answered since" in (readiness.warning or "")
        await asyncio.to_thread(own_broker.start)
    await clients.until(Fate.PUBLISHED, 500)
    await clients.end()
    assert publisher.spooled_events == 0
    await publisher.close()
    found = await read_events(own_broker.bootstrap, topic)
    assert {each.event_id for each in found} == clients.acknowledged.keys()
    assert_in_order(found)


async def test_a_paused_broker_is_given_up_in_time_and_gets_everything_once_it_goes_on(
    own_broker: LocalBroker, topic: str, tmp_path: Path
) -> None:
    publisher = await started(own_broker.bootstrap, topic, tmp_path)
    clients = Clients(publisher, 20)
    await clients.until(Fate.PUBLISHED, 200)
    own_broker.pause()
    try:
        await clients.until(Fate.SPOOLED, 200)
    finally:
        own_broker.resume()
    await clients.until(Fate.PUBLISHED, 200)
    await clients.end()
    assert clients.slowest_seconds < 1 + SLACK_SECONDS
    await publisher.close()
    found = await read_events(own_broker.bootstrap, topic)
    assert {each.event_id for each in found} == clients.acknowledged.keys()
    assert_in_order(found)


async def test_connections_that_are_cut_and_that_stall_cost_no_event_and_no_order(
    new_broker: NewBroker, topic: str, tmp_path: Path
) -> None:
    port = free_port()
    with FaultyProxy("127.0.0.1", port) as proxy:
        proxied = await asyncio.to_thread(lambda: new_broker(port=port, advertised_port=proxy.port))
        publisher = await started(proxied.bootstrap, topic, tmp_path)
        clients = Clients(publisher, 20)
        await clients.until(Fate.PUBLISHED, 200)
        for fault in (proxy.cut, proxy.stall):
            fault()
            await clients.until(Fate.SPOOLED, 200)
            proxy.restore()
            await clients.until(Fate.PUBLISHED, 200)
        proxy.cut()
        proxy.restore()
        await clients.until(Fate.PUBLISHED, 200)
        await clients.end()
        assert clients.slowest_seconds < 1 + SLACK_SECONDS
        await publisher.close()
        found = await read_events(proxied.direct_bootstrap, topic)
    assert {each.event_id for each in found} == clients.acknowledged.keys()
    assert_in_order(found)


async def test_a_process_that_ends_while_the_broker_is_paused_leaves_all_it_took_to_the_next(
    own_broker: LocalBroker, topic: str, tmp_path: Path
) -> None:
    publisher = await started(own_broker.bootstrap, topic, tmp_path)
    own_broker.pause()
    try:
        sent = [event(user_id=str(number)) for number in range(50)]
        publishings = [asyncio.create_task(publisher.publish([each])) for each in sent]
        await asyncio.sleep(0)
        began = time.monotonic()
        await publisher.close()
        assert time.monotonic() - began < 1 + SLACK_SECONDS
        fates = [landed.fate for publishing in publishings for landed in await publishing]
        assert set(fates) == {Fate.SPOOLED}
    finally:
        own_broker.resume()
    following = await started(own_broker.bootstrap, topic, tmp_path)
    await following.close()
    assert await read_events(own_broker.bootstrap, topic) == sent


async def test_a_process_killed_while_it_spools_and_again_while_it_drains_loses_nothing(
    own_broker: LocalBroker, topic: str, tmp_path: Path
) -> None:
    lines: list[list[str]] = []

    def run(clients: int, enough: Callable[[], bool]) -> None:
        """Run a publishing process until it is enough, or it ends."""
        command = [sys.executable, "-m", "tests.integration.stream.publishing"]
        arguments = [own_broker.bootstrap, topic, str(tmp_path), str(clients)]
        with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.split())
                if enough():
                    process.kill()
            lines.extend(line.split() for line in process.stdout)

    def told(word: Fate) -> int:
        return sum(line[0] == word for line in lines)

    def publish_while_the_broker_dies() -> None:
        def enough() -> bool:
            if own_broker.running and told(Fate.PUBLISHED) > 300:
                own_broker.kill()
            return told(Fate.SPOOLED) > 300

        run(20, enough)

    await asyncio.to_thread(publish_while_the_broker_dies)
    acknowledged = {UUID(line[1]) for line in lines if line[0] in (Fate.PUBLISHED, Fate.SPOOLED)}
    spooled = Spool(tmp_path, most_bytes=ROOM)
    # Enough for draining to take its time.
    late = [event(tenant_id=f"late-{number % 5}", user_id=str(number // 5)) for number in range(60_000)]
    spooled.append(
        [Row(each.tenant_id, number % 5, hour_of(MOMENT), encode_event(each)) for number, each in enumerate(late)]
    )
    spooled.close()
    acknowledged |= {each.event_id for each in late}
    await asyncio.to_thread(own_broker.start)
    for _ in range(2):
        lines.clear()
        await asyncio.to_thread(run, 0, lambda: lines[-1][0] == "left")
        assert sum(count_spooled(tmp_path).values()) > 0
    await asyncio.to_thread(run, 0, lambda: False)
    assert sum(count_spooled(tmp_path).values()) == 0
    found = await read_events(own_broker.bootstrap, topic)
    assert acknowledged <= {each.event_id for each in found}
    assert_in_order(found)


async def test_a_topic_that_is_wrong_is_told_and_events_wait_until_it_is_corrected(
    durable_broker: SharedBroker, topic: str, tmp_path: Path
) -> None:
    async with administration(durable_broker.bootstrap) as client:
        await client.create_topics([NewTopic(topic, PARTITIONS, 1)])
        publisher = await start(durable_broker.bootstrap, topic, tmp_path)
        sent = [event() for _ in range(3)]
        landed = await publisher.publish(sent)
        assert {each.fate for each in landed} == {Fate.SPOOLED}
        await until(lambda: publisher._reason)
        readiness = await publisher.check()
        assert readiness.durable_by == "spool"
        for told in ("message.timestamp.type is CreateTime", "kafka-configs.sh", "3 events"):
            assert told in (readiness.warning or "")
        configs = wanted_configs(settings_of(durable_broker.bootstrap, topic))
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    await until(lambda: not publisher.away)
    await publisher.close()
    assert await read_events(durable_broker.bootstrap, topic) == sent


async def test_a_topic_that_has_grown_is_used_as_a_whole(
    durable_broker: SharedBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "METADATA_SECONDS", 1)
    publisher = await started(durable_broker.bootstrap, topic, tmp_path)
    many = [event(tenant_id=f"tenant-{number}") for number in range(200)]
    await publisher.publish(many)
    async with administration(durable_broker.bootstrap) as client:
        await client.create_partitions({topic: NewPartitions(2 * PARTITIONS)})
    generation = publisher._broker
    assert generation is not None
    await until(lambda: generation.partitions == 2 * PARTITIONS)
    await publisher.publish(many)
    await publisher.close()
    records = await read_topic(durable_broker.bootstrap, topic)
    assert {record.partition for record in records} == set(range(2 * PARTITIONS))
    assert len(records) == 2 * len(many)
