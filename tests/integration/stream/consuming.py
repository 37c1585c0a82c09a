"""Consumers for tests: run in this loop, on a lander that can be held up or cut off, and what they landed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.events import Event
from pipeline.core.settings import KafkaSettings, Settings
from pipeline.land.landing import StreamLander
from pipeline.stream.consumer import StreamConsumer
from pipeline.stream.consumption import Landed
from pipeline.stream.delivery import Delivery, Move, Settled
from pipeline.stream.record import encode_event

PATIENCE_SECONDS = 40
PARTITIONS = 3


class ControlledLanding:
    """A stream's lander whose `land` can be held up, and which can be without its database."""

    def __init__(self, database: Database) -> None:
        self._lander = StreamLander(lambda: database.connect(ServiceRole.LANDER))
        self.free = threading.Event()
        self.free.set()
        self.away = False
        self.tried = 0
        self.held = False

    def find_offsets(self, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:
        self._require_database()
        return self._lander.find_offsets(topic, beginnings)

    def find_marks(self, topic: str) -> dict[int, int]:
        self._require_database()
        return self._lander.find_marks(topic)

    def restart(self, topic: str, moves: Mapping[int, Move]) -> None:
        self._require_database()
        self._lander.restart(topic, moves)

    def land(self, delivery: Delivery) -> Settled:
        self.held = not self.free.is_set()
        assert self.free.wait(PATIENCE_SECONDS)
        self._require_database()
        return self._lander.land(delivery)

    def close(self) -> None:
        self._lander.close()

    def _require_database(self) -> None:
        self.tried += 1
        if self.away:
            raise DatabaseUnavailable("The database is away.")


@dataclass(kw_only=True)
class Member:
    """A consumer at work."""

    landing: ControlledLanding
    landed: list[Landed] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """As SIGTERM does."""
        self.stopping.set()
        if self.task is not None:
            await self.task

    @property
    def records(self) -> int:
        return sum(each.delivery.records for each in self.landed)

    @property
    def behind(self) -> int:
        """How many records it has not landed yet, as of its last delivery."""
        return sum(self.landed[-1].lag.values())

    @property
    def partitions(self) -> set[int]:
        """Those that it has landed something of."""
        return {partition for each in self.landed for partition in each.delivery.moves}


@asynccontextmanager
async def consuming(
    settings: Settings, database: Database, *, member: str = "member", most_records: int = 1_000
) -> AsyncIterator[Member]:
    """A member of the group that is stopped in the end; an error of its own is raised here, as soon as it comes."""
    running = Member(landing=ControlledLanding(database))
    settings = replace(settings, kafka=replace(settings.kafka, session_seconds=2))
    consumer = StreamConsumer(
        settings,
        landing=running.landing,
        member=member,
        observe=running.landed.append,
        most_records=most_records,
    )
    running.task = asyncio.create_task(consumer.run(running.stopping))
    test = asyncio.current_task()
    assert test is not None
    running.task.add_done_callback(lambda task: task.exception() and test.cancel())
    try:
        yield running
    finally:
        running.landing.free.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.stop()
        running.landing.close()


def settings_of(bootstrap: str, topic: str) -> Settings:
    """Settings of a topic and a group of the test's own."""
    kafka = KafkaSettings(topic=topic, partitions=PARTITIONS, group=f"group_{topic}")
    return Settings(kafka_bootstrap_servers=bootstrap, kafka=kafka)


async def publish(settings: Settings, records: Iterable[tuple[int, Event | bytes]]) -> None:
    """Append records to these partitions, in their order; bytes as they are, under the key `acme`."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True, linger_ms=2
    )
    await producer.start()
    try:
        for_all = [
            await producer.send(
                settings.kafka.topic,
                key=record.tenant_id.encode() if isinstance(record, Event) else b"acme",
                value=encode_event(record) if isinstance(record, Event) else record,
                partition=partition,
            )
            for partition, record in records
        ]
        await asyncio.gather(*for_all)
    finally:
        await producer.stop()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for the condition, with a deadline."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_SECONDS} s for {what}") from None


def partitions_of(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
