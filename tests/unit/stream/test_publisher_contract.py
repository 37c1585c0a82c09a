"""What every publisher promises, whatever is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pipeline.core.errors import WorkbenchError
from pipeline.core.events import Event, Landed
from pipeline.core.settings import Settings
from pipeline.stream.embedded import EmbeddedPublisher
from pipeline.stream.kafka import KafkaPublisher
from pipeline.stream.memory import MemoryPublisher
from pipeline.stream.port import Publisher
from pipeline.stream.spool import Spool
from tests.factories import event
from tests.unit.stream.cluster import Cluster, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "embedded", "broker", "spool"])
async def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Publisher]:
    match request.param:
        case "memory":
            publisher: Publisher = MemoryPublisher()
        case "embedded":
            store = MemoryPublisher()

            def land(events: Sequence[Event]) -> list[Landed]:
                return asyncio.run(store.publish(events))

            publisher = EmbeddedPublisher(land, probe=lambda: None)
        case _:
            cluster = Cluster()
            cluster.up = request.param == "broker"
            spool = Spool(tmp_path, most_bytes=1 << 24)
            publisher = KafkaPublisher(
                Settings(kafka_bootstrap_servers="kafka-1:9092"), spool=spool, connect=cluster.connect
            )
    await publisher.open()
    if request.param == "broker":
        assert isinstance(publisher, KafkaPublisher)
        await until(lambda: not publisher.away)
    yield publisher
    await publisher.close()


async def test_fates_are_aligned_with_the_events_and_there_are_none_of_none(publisher: Publisher) -> None:
    assert await publisher.publish([]) == []
    for number in (1, 2, 50):
        assert len(await publisher.publish([event() for _ in range(number)])) == number
    assert len(await publisher.publish([event(), event(tenant_id="globex")], shards=4)) == 2


async def test_many_may_publish_at_once(publisher: Publisher) -> None:
    answers = await asyncio.gather(*(publisher.publish([event()] * number) for number in range(1, 30)))
    assert [len(answer) for answer in answers] == list(range(1, 30))


async def test_it_is_ready_until_it_is_closed_and_takes_nothing_afterwards(
    publisher: Publisher, request: pytest.FixtureRequest
) -> None:
    readiness = await publisher.check()
    kind = request.node.callspec.params["publisher"]
    assert readiness.durable_by == {"embedded": "database"}.get(kind, kind)
    await publisher.close()
    with pytest.raises(WorkbenchError):
        await publisher.check()
    with pytest.raises(WorkbenchError):
        await publisher.publish([event()])
