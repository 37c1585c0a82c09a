"""A broker in memory that answers when it is told to, for the publisher's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from pipeline.core.errors import StreamError, StreamUnavailable
from pipeline.core.events import Event
from pipeline.core.settings import Settings
from pipeline.stream.broker import Broker
from pipeline.stream.record import decode_event

PATIENCE_SECONDS = 10
BATCH_RECORDS = 5


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


class Batch:
    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []

    def append(
        self,
        *,
        timestamp: int,  # noqa: ARG002
        key: bytes,
        value: bytes,
        headers: list[tuple[str, bytes]] | None = None,  # noqa: ARG002
    ) -> object | None:
        if len(self.records) == BATCH_RECORDS:
            return None
        self.records.append((key, value))
        return self

    def record_count(self) -> int:
        return len(self.records)


class Cluster:
    """Brokers that take batches while they are up; `holding` keeps them from acknowledging."""

    def __init__(self, partitions: int = 3) -> None:
        self.partitions = partitions
        self.log: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.up = True
        self.failure: StreamError = StreamUnavailable("down")
        self.takes_before_failing = False
        self.free = asyncio.Event()
        self.free.set()
        self.asked: list[int] = []
        self.connections = 0
        self.most_records: int | None = None
        """How many records one connection takes at once."""

    async def connect(self, _: Settings) -> Broker:
        self.connections += 1
        if not self.up:
            raise self.failure
        return cast(Broker, Connection(self))

    def hold(self) -> None:
        self.free.clear()

    def release(self) -> None:
        self.free.set()

    def fail(self) -> None:
        self.up = False
        self.takes_before_failing = False
        self.free.set()

    def fail_late(self) -> None:
        """Fail, but what is on its way is taken all the same."""
        self.fail()
        self.takes_before_failing = True

    def recover(self) -> None:
        self.up = True

    @property
    def events(self) -> list[Event]:
        return [decode_event(value) for _, records in self.log for _, value in records]

    @property
    def firsts(self) -> list[Event]:
        """Each event where it is first in the log."""
        return list({each.event_id: each for each in reversed(self.events)}.values())[::-1]


class Connection:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.gone = False

    @property
    def partitions(self) -> int:
        return self.cluster.partitions

    def new_batch(self) -> Batch:
        return Batch()

    async def send(self, batch: Batch, partition: int) -> None:
        assert batch.records
        self.cluster.asked.append(len(batch.records))
        await asyncio.sleep(0)
        await self.cluster.free.wait()
        too_many = self.cluster.most_records is not None and len(batch.records) > self.cluster.most_records
        if self.gone or not self.cluster.up or too_many:
            if self.cluster.takes_before_failing:
                self.cluster.log.append((partition, batch.records))
            raise self.cluster.failure
        self.cluster.log.append((partition, batch.records))

    def abandon(self) -> asyncio.Task[None]:
        self.gone = True
        return asyncio.create_task(asyncio.sleep(0))

    async def close(self) -> None:
        self.gone = True
