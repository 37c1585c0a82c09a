"""Consumption: one client's time in the consumer group, from assignment to assignment.

Every assignment begins with a look at the database for the next record to land. While one delivery
is being landed the next is gathered; nothing waits for a timer. Every partition that has records
gets an equal part of a delivery, so that a busy one cannot starve the others.

Partitions may be taken away at any moment, by a rebalance that this process learns of late, or not
at all: landing then finds the offsets moved and stores nothing, and the look is taken anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from opentelemetry.trace import SpanKind

from pipeline.core import tracing
from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseUnavailable, OffsetsMoved, StreamUnavailable
from pipeline.stream.delivery import Delivery, Move, Settled
from pipeline.stream.gathering import Gatherer, Misplaced
from pipeline.stream.landing_thread import LandingThread

MOST_BYTES = 16_777_216
"""Bytes of records' values in one delivery."""
FEW_RECORDS = 200
"""Records that are unpacked at once."""
REVOCATION_SECONDS = 10.0
"""How long a revocation, or the end, waits for the landing under way."""
IDLE_MILLISECONDS = 250
GATHER_MILLISECONDS = 5
LOOK_MILLISECONDS = 5_000
HINT_SECONDS = 2.0
SUSPICIOUS_SECONDS = 60.0
"""Without a record for as long, it is asked whether there are any."""
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0

LOOK_ANEW = (OffsetsMoved, Misplaced, IllegalStateError, OffsetOutOfRangeError, NoOffsetForPartitionError)
"""What says that offsets are not what they were thought to be."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is durable, for observers; `lag` is records behind, by partition assigned."""

    delivery: Delivery
    settled: Settled
    seconds: float
    lag: Mapping[int, int]


class _Outdated(Exception):
    """What was being done concerns an assignment that is over."""


class Consumption(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Works until cancelled, or until the client fails, which raises KafkaError or StreamUnavailable."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        topic: str,
        *,
        landing: LandingThread,
        observe: Callable[[Landed], None],
        clock: Clock,
        most_records: int,
    ) -> None:
        self._client = client
        self._topic = topic
        self._landing = landing
        self._observe = observe
        self._clock = clock
        self._most_records = most_records
        # Grows whenever it is in doubt what is assigned and where it begins.
        self._epoch = 0
        self._next: dict[int, int] = {}
        self._landed: dict[int, int] = {}
        self._first = 0
        self._under_way: asyncio.Task[None] | None = None
        self._hint: asyncio.Task[None] | None = None
        self._hinted_at = self._received_at = time.monotonic()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish what is under way, so that whoever is next need not wait for it."""
        self._epoch += 1
        if revoked:
            await self._let_finish()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing may be read on before a look at the database, which the work takes."""
        self._epoch += 1
        log.info("assigned: %s", ", ".join(str(tp.partition) for tp in sorted(assigned)) or "nothing")

    async def work(self) -> None:
        """Land what is assigned, assignment after assignment."""
        while True:
            epoch = self._epoch
            try:
                await self._begin(epoch)
                while self._next:
                    await self._step(epoch)
                await self._client.getmany(timeout_ms=IDLE_MILLISECONDS)
            except _Outdated:
                pass
            except LOOK_ANEW as error:
                log.info("offsets are looked at anew (%s)", type(error).__name__)
                self._epoch += 1

    async def finish(self) -> None:
        """Finish what is under way and tell the broker how far it came; nothing new begins."""
        self._epoch += 1
        await self._let_finish()
        for task in (self._hint, self._under_way):
            if task is not None:
                task.cancel()
        with suppress(KafkaError, IllegalStateError, TimeoutError):
            async with asyncio.timeout(1):
                await self._commit()

    async def _begin(self, epoch: int) -> None:
        """Find where each assigned partition goes on, and go there."""
        with suppress(OffsetsMoved):
            await self._landing_ended()
        self._next = {}
        partitions = [tp for tp in self._client.assignment() if tp.topic == self._topic]
        if not partitions:
            return
        beginnings = _by_partition(await self._client.beginning_offsets(partitions))
        found = await self._patiently(epoch, lambda: self._landing.find_offsets(self._topic, beginnings))
        if other := await self._other_logs(epoch, found, beginnings):
            log.error(
                "topic %s is not the one that was landed in partitions %s: it was made anew, or has lost its end; "
                "it is read from its beginning, and what was landed before stays as it is",
                self._topic,
                sorted(other),
            )
            anew = {p: Move(expected=found[p], next=beginnings[p]) for p in other}
            await self._patiently(epoch, lambda: self._landing.restart(self._topic, anew))
            found |= {p: move.next for p, move in anew.items()}
        self._require(epoch)
        for tp in partitions:
            self._client.seek(tp, found[tp.partition])
        self._next, self._landed = found, dict(found)
        self._received_at = time.monotonic()

    async def _other_logs(self, epoch: int, found: Mapping[int, int], beginnings: Mapping[int, int]) -> set[int]:
        """Partitions that do not hold what was landed of them.

        They end before it, or, where they should still hold the last landed record, have none that was
        appended when it was.
        """
        marks = await self._patiently(epoch, lambda: self._landing.find_marks(self._topic))
        ends = _by_partition(await self._client.end_offsets([TopicPartition(self._topic, p) for p in found]))
        other = {p for p, offset in found.items() if offset > ends[p]}
        asked = {
            TopicPartition(self._topic, p): marks[p]
            for p, offset in found.items()
            if p in marks and p not in other and offset > beginnings[p]
        }
        if asked:
            at = await self._client.offsets_for_times(asked)
            for tp, mark in asked.items():
                if at[tp] is None or at[tp].timestamp != mark:
                    # Or the broker's clock was set back, so that earlier records have later times.
                    self._require(epoch)
                    if not await self._was_appended_at(mark, tp, found[tp.partition] - 1):
                        other.add(tp.partition)
        return other

    async def _was_appended_at(self, mark: int, tp: TopicPartition, offset: int) -> bool:
        """Whether there is a record at this offset that the broker appended then, in milliseconds since 1970."""
        self._client.seek(tp, offset)
        records = (await self._client.getmany(tp, timeout_ms=LOOK_MILLISECONDS, max_records=1)).get(tp)
        if not records:
            raise StreamUnavailable(f"The record before offset {offset + 1} of partition {tp.partition} does not come.")
        return bool(records[0].offset == offset and records[0].timestamp == mark)

    async def _step(self, epoch: int) -> None:
        """Gather a delivery and begin to land it, when the one before it has landed."""
        gatherer = Gatherer(
            self._topic,
            self._next,
            most_records=self._most_records,
            most_bytes=MOST_BYTES,
            clock=self._clock,
        )
        await self._gather(gatherer, epoch)
        self._require(epoch)
        if gatherer.is_empty:
            await self._look_for_missed_records()
            return
        delivery = gatherer.delivery()
        await self._landing_ended()
        self._require(epoch)
        self._received_at = time.monotonic()
        self._next = self._next | {partition: move.next for partition, move in delivery.moves.items()}
        self._under_way = asyncio.create_task(self._land(delivery, epoch), name="landing")

    async def _gather(self, gatherer: Gatherer, epoch: int) -> None:
        """Take what is there; while a landing is under way, also what comes meanwhile."""
        while gatherer.room and epoch == self._epoch:
            if not gatherer.is_empty and not self._is_landing():
                return
            if not await self._take_round(gatherer):
                wait = IDLE_MILLISECONDS if gatherer.is_empty else GATHER_MILLISECONDS
                most = min(FEW_RECORDS, self._share(), gatherer.room)
                came = await self._client.getmany(timeout_ms=wait, max_records=most)
                if epoch != self._epoch:
                    # Partitions may be among them that were not looked at yet.
                    return
                for tp, records in came.items():
                    gatherer.take(tp.partition, records)
                if not came and gatherer.is_empty:
                    return

    async def _take_round(self, gatherer: Gatherer) -> bool:
        """Take an equal part of every partition that has records, beginning with another one each time."""
        partitions = sorted(self._next)
        self._first = (self._first + 1) % len(partitions)
        took = False
        for partition in partitions[self._first :] + partitions[: self._first]:
            took |= await self._take_some(gatherer, TopicPartition(self._topic, partition), self._share())
        return took

    async def _take_some(self, gatherer: Gatherer, tp: TopicPartition, most: int) -> bool:
        """Take up to `most` records of a partition, a few at a time: unpacked, they may be a hundred times as large."""
        taken = 0
        while (few := min(FEW_RECORDS, most - taken, gatherer.room)) > 0:
            came = (await self._client.getmany(tp, max_records=few)).get(tp)
            if not came:
                break
            gatherer.take(tp.partition, came)
            taken += len(came)
            # Heartbeats and fetches share this loop.
            await asyncio.sleep(0)
        return taken > 0

    def _share(self) -> int:
        return max(1, self._most_records // len(self._next))

    async def _land(self, delivery: Delivery, epoch: int) -> None:
        began = time.monotonic()
        try:
            with tracing.span_after(delivery.published_in, "land", kind=SpanKind.CONSUMER, records=delivery.records):
                settled = await self._patiently(epoch, lambda: self._landing.land(delivery))
        except _Outdated:
            return
        seconds = time.monotonic() - began
        self._landed |= {partition: move.next for partition, move in delivery.moves.items()}
        self._observe(Landed(delivery=delivery, settled=settled, seconds=seconds, lag=self._lag()))
        if time.monotonic() - self._hinted_at > HINT_SECONDS and (self._hint is None or self._hint.done()):
            self._hinted_at = time.monotonic()
            self._hint = asyncio.create_task(self._commit_quietly(), name="offset hint")

    async def _patiently(self, epoch: int, work: Callable[[], Awaitable[T]]) -> T:
        """What the work returns, tried again while the database is away. Raises _Outdated."""
        delay = FIRST_DELAY_SECONDS
        while True:
            self._require(epoch)
            try:
                return await work()
            except DatabaseUnavailable as error:
                log.warning("landing waits for the database, next try in %g s: %s", delay, error.message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _require(self, epoch: int) -> None:
        if epoch != self._epoch:
            raise _Outdated

    def _is_landing(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    async def _landing_ended(self) -> None:
        """Wait for the landing under way; its error is raised here, once."""
        task = self._under_way
        if task is not None:
            # Not by awaiting the task itself, which would be cancelled along with this.
            await asyncio.wait({task})
            self._under_way = None
            task.result()

    async def _let_finish(self) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way}, timeout=REVOCATION_SECONDS)

    async def _look_for_missed_records(self) -> None:
        """Raise StreamUnavailable where records wait that the client does not bring; it has failed then."""
        if time.monotonic() - self._received_at < SUSPICIOUS_SECONDS:
            return
        ends = _by_partition(await self._client.end_offsets([TopicPartition(self._topic, p) for p in self._next]))
        waiting = {p: ends[p] - offset for p, offset in self._next.items() if p in ends and ends[p] > offset}
        if waiting:
            raise StreamUnavailable(
                f"Records of {self._topic} wait, but none came for {SUSPICIOUS_SECONDS:g} s: {waiting}."
            )
        self._received_at = time.monotonic()

    def _lag(self) -> dict[int, int]:
        lag = {}
        mine = self._client.assignment()
        for partition, landed in self._landed.items():
            # Of one that was taken away meanwhile the client knows nothing, and says so by an assertion.
            if (tp := TopicPartition(self._topic, partition)) in mine:
                lag[partition] = max(0, (self._client.highwater(tp) or landed) - landed)
        return lag

    async def _commit_quietly(self) -> None:
        with suppress(KafkaError, IllegalStateError):
            await self._commit()

    async def _commit(self) -> None:
        mine = {tp.partition for tp in self._client.assignment()}
        offsets = {TopicPartition(self._topic, p): offset for p, offset in self._landed.items() if p in mine}
        if offsets:
            await self._client.commit(offsets)


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items()}
