"""Looking at a topic and reading stretches of it, against a real broker."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.core.clock import utc_now
from pipeline.core.errors import StreamUnavailable
from pipeline.core.settings import KafkaSettings, Settings
from pipeline.stream.looking import Extent, find_extents, find_topic, open_client
from pipeline.stream.reading import count, deliveries, open_landed, open_tail
from pipeline.stream.record import encode_event
from pipeline.stream.topic import ensure_topic, find_mismatches
from tests.factories import MOMENT, event
from tests.integration.stream.topics import administration
from tests.kafka import SharedBroker

pytestmark = pytest.mark.anyio
HOUR = int(MOMENT.timestamp()) // 3600


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(durable_broker: SharedBroker, topic: str) -> Settings:
    return Settings(kafka_bootstrap_servers=durable_broker.bootstrap, kafka=KafkaSettings(topic=topic, partitions=2))


async def publish(settings: Settings, values: list[bytes], partition: int = 0, key: bytes | None = b"acme") -> None:
    await ensure_topic(settings)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        for value in values:
            await producer.send(settings.kafka.topic, value, key=key, partition=partition)
        await producer.flush()


async def test_a_topic_that_is_missing_is_told_and_not_created(settings: Settings) -> None:
    assert await find_topic(settings) is None
    assert await find_extents(settings) == {}
    assert await count_in_flight(settings, {}) == {}
    async with administration(settings.kafka_bootstrap_servers or "") as client:
        assert settings.kafka.topic not in await client.list_topics()


async def test_a_topic_is_found_as_it_is(settings: Settings) -> None:
    await ensure_topic(settings)
    found = await find_topic(settings)
    assert found is not None
    assert (found.partitions, find_mismatches(found, settings)) == (2, [])


async def test_what_has_not_landed_is_counted_as_landing_will_count_it(settings: Settings) -> None:
    earlier = MOMENT - timedelta(hours=2)
    events = [event(), event(), event(received_at=earlier), event(tenant_id="globex")]
    await publish(settings, [encode_event(each) for each in events])
    await publish(settings, [b"no event", b""], partition=1, key=b"stranger")
    now = int(utc_now().timestamp()) // 3600
    told: list[tuple[int, int]] = []
    counted = await count_in_flight(settings, {}, progress=lambda done, of: told.append((done, of)))
    assert counted == {("acme", HOUR): 2, ("acme", HOUR - 2): 1, ("globex", HOUR): 1, ("stranger", now): 2}
    assert told[-1] == (6, 6)
    assert await count_in_flight(settings, {0: 3}) == {("globex", HOUR): 1, ("stranger", now): 2}
    assert await count_in_flight(settings, {0: 4, 1: 2}) == {}
    assert await find_extents(settings) == {0: Extent(beginning=0, end=4), 1: Extent(beginning=0, end=2)}


async def test_records_that_are_gone_are_not_in_flight(settings: Settings) -> None:
    await publish(settings, [encode_event(event()) for _ in range(5)])
    async with administration(settings.kafka_bootstrap_servers or "") as client:
        from aiokafka.admin import RecordsToDelete

        await client.delete_records({TopicPartition(settings.kafka.topic, 0): RecordsToDelete(before_offset=2)})
    assert (await count_in_flight(settings, {0: 1})).total() == 3
    assert (await find_extents(settings))[0] == Extent(beginning=2, end=5)


async def test_a_stretch_comes_in_deliveries_without_loss_or_repetition(settings: Settings) -> None:
    events = [event(user_id=str(number)) for number in range(250)]
    await publish(settings, [encode_event(each) for each in events[:100]])
    await publish(settings, [encode_event(each) for each in events[100:]], partition=1)
    async with open_tail(settings, {0: 10}) as tail:
        assert tail.records == 240
        found = [delivery async for delivery in deliveries(tail, most_records=70)]
    assert all(0 < delivery.records <= 70 for delivery in found)
    assert sorted(each.event_id for delivery in found for each in delivery.events) == sorted(
        each.event_id for each in events[10:]
    )
    for delivery in found:
        for origin, each in zip(delivery.origins, delivery.events, strict=True):
            assert events.index(each) == origin.offset + (100 if origin.partition else 0)


async def test_what_landed_is_read_again_from_the_brokers_time_on_and_no_further_than_it_landed(
    settings: Settings,
) -> None:
    await publish(settings, [encode_event(event(user_id=str(number))) for number in range(10)])
    await asyncio.sleep(0.05)
    middle = utc_now()
    await asyncio.sleep(0.05)
    await publish(settings, [encode_event(event(user_id=str(number))) for number in range(10, 20)])

    async def read(landed: dict[int, int], since: timedelta, until: timedelta | None = None) -> list[str | None]:
        end = None if until is None else middle + until
        async with open_landed(settings, landed, since=middle + since, until=end) as stretch:
            return [each.user_id async for delivery in deliveries(stretch) for each in delivery.events]

    hour = timedelta(hours=1)
    assert await read({0: 20}, -hour) == [str(number) for number in range(20)]
    assert await read({0: 20}, timedelta()) == [str(number) for number in range(10, 20)]
    assert await read({0: 15}, timedelta()) == [str(number) for number in range(10, 15)]
    assert await read({0: 5}, timedelta()) == []
    assert await read({0: 20}, -hour, timedelta()) == [str(number) for number in range(10)]
    assert await read({0: 20}, hour) == []
    assert await read({}, -hour) == []


async def test_a_broker_that_is_away_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = Settings(kafka_bootstrap_servers=f"127.0.0.1:{port}")
    for look in (find_topic(away), find_extents(away), count_in_flight(away, {})):
        with pytest.raises(StreamUnavailable, match="No broker answers"):
            await look
    with pytest.raises(StreamUnavailable):
        async with open_client(away):
            pass


async def count_in_flight(
    settings: Settings, landed: Mapping[int, int], progress: Callable[[int, int], None] = lambda _done, _of: None
) -> Counter[tuple[str, int]]:
    """What has not landed, read to its end."""
    async with open_tail(settings, landed) as tail:
        return await count(tail, progress)
