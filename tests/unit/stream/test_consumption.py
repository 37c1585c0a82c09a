"""Consumption against a client that does what aiokafka may do at any moment, and seldom does when it is tested."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from pipeline.core.clock import utc_now
from pipeline.stream.consumption import Consumption, Landed
from pipeline.stream.delivery import Delivery, Move, Settled
from pipeline.stream.landing_thread import LandingThread
from pipeline.stream.record import encode_event
from tests.factories import event

pytestmark = pytest.mark.anyio

TOPIC = "events"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Offsets:
    """A landing that keeps the offsets, and nothing else."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}

    def find_offsets(self, _: str, beginnings: Mapping[int, int]) -> dict[int, int]:
        for partition, beginning in beginnings.items():
            self.next[partition] = max(beginning, self.next.get(partition, beginning))
        return {partition: self.next[partition] for partition in beginnings}

    def find_marks(self, topic: str) -> dict[int, int]:  # noqa: ARG002
        return {}

    def restart(self, topic: str, moves: Mapping[int, Move]) -> None:
        raise AssertionError(f"{topic} was not made anew: {moves}")

    def land(self, delivery: Delivery) -> Settled:
        for partition, move in delivery.moves.items():
            assert self.next[partition] == move.expected
            self.next[partition] = move.next
        return Settled(stored=delivery.records)


class Client:
    """A log, an assignment, positions; `meanwhile` is done once in the middle of a read that waits."""

    def __init__(self, log: dict[int, list[ConsumerRecord]], *, assigned: set[int]) -> None:
        self.log = log
        self.positions = dict.fromkeys(assigned, 0)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def assign(self, positions: dict[int, int]) -> None:
        """Assign these, at what the broker knows as committed."""
        self.positions = dict(positions)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(TopicPartition(TOPIC, partition) for partition in self.positions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._require(tp)
        self.positions[tp.partition] = offset

    def highwater(self, tp: TopicPartition) -> int:
        # As aiokafka has it.
        assert tp.partition in self.positions, "Partition is not assigned"
        return len(self.log[tp.partition])

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.log[tp.partition]) for tp in partitions}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        for tp in offsets:
            self._require(tp)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int = 500) -> Any:
        for tp in partitions:
            self._require(tp)
        if timeout_ms and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        await asyncio.sleep(0.001)
        found = {}
        for tp in partitions or self.assignment():
            position = self.positions.get(tp.partition, 0)
            records = self.log[tp.partition][position : position + max_records]
            if records and tp.partition in self.positions:
                self.positions[tp.partition] += len(records)
                found[tp] = records
        return found

    def _require(self, tp: TopicPartition) -> None:
        if tp.partition not in self.positions:
            raise IllegalStateError(f"{tp} is not assigned")


def records(partition: int, count: int) -> list[ConsumerRecord]:
    return [
        ConsumerRecord(TOPIC, partition, offset, 0, 1, b"acme", encode_event(event()), None, 4, 0, ())
        for offset in range(count)
    ]


class World:
    """A consumption at work on such a client."""

    def __init__(self, log: dict[int, list[ConsumerRecord]], *, assigned: set[int], most_records: int = 100) -> None:
        self.client = Client(log, assigned=assigned)
        self.offsets = Offsets()
        self.landed: list[Landed] = []
        self.thread = LandingThread(self.offsets)
        self.consumption = Consumption(
            self.client,
            TOPIC,
            landing=self.thread,
            observe=self.landed.append,
            clock=utc_now,
            most_records=most_records,
        )

    async def rebalance(self, positions: dict[int, int]) -> None:
        """As the coordinator does it, in a task of its own."""
        await self.consumption.on_partitions_revoked(self.client.assignment())
        self.client.assign(positions)
        await self.consumption.on_partitions_assigned(self.client.assignment())

    async def work_until(self, condition: Callable[[], object]) -> None:
        """Work until the condition holds; an error of the work is raised."""
        working = asyncio.create_task(self.consumption.work())
        try:
            async with asyncio.timeout(10):
                while not condition():
                    if working.done():
                        await working
                    await asyncio.sleep(0.001)
        finally:
            working.cancel()
            await asyncio.wait({working})
            await self.consumption.finish()
            self.thread.close()


@pytest.mark.parametrize("committed", [0, 3, 9])
async def test_a_rebalance_while_it_waits_for_records_may_bring_those_of_partitions_that_it_did_not_have(
    committed: int,
) -> None:
    world = World({0: [], 1: records(1, 10), 2: records(2, 10)}, assigned={0})
    world.client.meanwhile = lambda: world.rebalance({0: 0, 1: committed, 2: committed})
    await world.work_until(lambda: world.offsets.next == {0: 0, 1: 10, 2: 10})
    assert sum(each.delivery.records for each in world.landed) == 20


@pytest.mark.parametrize("committed", [0, 5, 9])
async def test_a_rebalance_while_it_waits_for_records_may_leave_it_elsewhere_in_its_own_partitions(
    committed: int,
) -> None:
    world = World({0: records(0, 5)}, assigned={0})

    async def append_and_rebalance() -> None:
        world.client.log[0] += records(0, 10)[5:]
        await world.rebalance({0: committed})

    world.client.meanwhile = append_and_rebalance
    await world.work_until(lambda: world.offsets.next == {0: 10})
    assert sum(each.delivery.records for each in world.landed) == 10


async def test_partitions_that_go_while_their_records_are_landed_are_no_error() -> None:
    world = World({0: records(0, 50), 1: records(1, 50)}, assigned={0, 1})
    land = world.offsets.land
    loop = asyncio.get_running_loop()

    def land_and_lose(delivery: Delivery) -> Settled:
        settled = land(delivery)
        loop.call_soon_threadsafe(world.client.assign, {1: 0})
        return settled

    world.offsets.land = land_and_lose  # type: ignore[method-assign]
    await world.work_until(lambda: world.landed)
    assert world.landed[0].settled.stored


async def test_a_delivery_that_is_nearly_full_takes_no_more_than_fits() -> None:
    """Ten records in all, three of each partition: when one more fits, three come."""
    world = World({p: records(p, 6) for p in range(3)}, assigned={0, 1, 2}, most_records=10)
    land, came = world.offsets.land, threading.Event()

    def land_slowly(delivery: Delivery) -> Settled:
        assert came.wait(10)
        return land(delivery)

    async def append() -> None:
        world.client.log[0] += records(0, 9)[6:]
        asyncio.get_running_loop().call_later(0.1, came.set)

    world.offsets.land = land_slowly  # type: ignore[method-assign]
    world.client.meanwhile = append
    await world.work_until(lambda: world.offsets.next == {0: 9, 1: 6, 2: 6})
    assert max(each.delivery.records for each in world.landed) <= 10
