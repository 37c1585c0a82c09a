"""Reading a stretch of the topic: from one offset to another of each partition, outside of any group.

What is read again, and up to where, its callers decide; nothing is moved or committed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from pipeline.core.clock import Clock, hour_of, utc_now
from pipeline.core.errors import StreamUnavailable
from pipeline.core.settings import Settings
from pipeline.stream import record
from pipeline.stream.administration import SECONDS, translated
from pipeline.stream.delivery import Delivery, Move
from pipeline.stream.gathering import Gatherer
from pipeline.stream.looking import extents_of, open_client

MOST_RECORDS = 10_000
MOST_BYTES = 16_777_216
POLL_MILLISECONDS = 500
SILENT_SECONDS = 20.0
"""Where nothing comes for as long, although there are records, the broker is away."""
MILLISECONDS = 1_000
MILLISECONDS_PER_HOUR = 3_600_000

Cell = tuple[str, int]
"""A tenant, as the record says, and the hour of receipt since 1970."""


class Stretch:
    """Records between two offsets of each partition; `client` is this stretch's alone."""

    def __init__(self, client: AIOKafkaConsumer, settings: Settings, moves: Mapping[int, Move]) -> None:
        self._client = client
        self._settings = settings
        self.topic = settings.kafka.topic
        self.position = {partition: move.expected for partition, move in moves.items()}
        """By partition, the next record to read."""
        self._ends = {TopicPartition(self.topic, p): move.next for p, move in moves.items()}
        self.records = sum(max(0, move.next - move.expected) for move in moves.values())
        """How many records it holds, at most."""
        self._begin()

    @property
    def left(self) -> int:
        """How many records are still to be read, at most."""
        return sum(max(0, end - self.position[tp.partition]) for tp, end in self._ends.items())

    async def take(self, most: int) -> dict[int, list[ConsumerRecord]]:
        """The next records by partition, `most` together; none at the end. Raises StreamUnavailable."""
        silent_since = time.monotonic()
        while unread := self._unread():
            with translated(self._settings):
                came = await self._client.getmany(*unread, timeout_ms=POLL_MILLISECONDS, max_records=most)
                for tp in unread:
                    async with asyncio.timeout(SECONDS):
                        self.position[tp.partition] = await self._client.position(tp)
            inside = {tp.partition: [each for each in came[tp] if each.offset < self._ends[tp]] for tp in came}
            if taken := {partition: records for partition, records in inside.items() if records}:
                return taken
            if not came and time.monotonic() - silent_since > SILENT_SECONDS:
                raise StreamUnavailable(f"No record of {self.topic} came for {SILENT_SECONDS:g} s, but some are there.")
        return {}

    def _begin(self) -> None:
        unread = self._unread()
        if unread:
            self._client.assign(unread)
        for tp in unread:
            self._client.seek(tp, self.position[tp.partition])

    def _unread(self) -> list[TopicPartition]:
        unread = []
        for tp, end in self._ends.items():
            if self.position[tp.partition] < end:
                unread.append(tp)
            elif tp in self._client.assignment():
                self._client.pause(tp)
        return unread


@asynccontextmanager
async def open_tail(settings: Settings, landed: Mapping[int, int]) -> AsyncIterator[Stretch]:
    """What has not landed yet, up to now: from `landed` on, or from the beginning of a partition without it."""
    async with open_client(settings) as client:
        extents = await extents_of(client, settings)
        moves = {}
        for partition, extent in extents.items():
            first = max(landed.get(partition, 0), extent.beginning)
            # An offset beyond the end is of another log of that name, which is read from its beginning.
            moves[partition] = Move(expected=first if first <= extent.end else extent.beginning, next=extent.end)
        yield Stretch(client, settings, moves)


@asynccontextmanager
async def open_landed(
    settings: Settings, landed: Mapping[int, int], *, since: datetime, until: datetime | None = None
) -> AsyncIterator[Stretch]:
    """What has landed of the records that the broker appended at `since` or later, and before `until`."""
    async with open_client(settings) as client:
        extents = await extents_of(client, settings)
        ends = {p: min(landed.get(p, 0), extent.end) for p, extent in extents.items()}
        firsts = await _offsets_at(client, settings, ends, since)
        if until is not None:
            ends = await _offsets_at(client, settings, ends, until)
        yield Stretch(client, settings, {p: Move(expected=firsts[p], next=max(firsts[p], ends[p])) for p in ends})


async def deliveries(
    stretch: Stretch, *, most_records: int = MOST_RECORDS, clock: Clock = utc_now
) -> AsyncIterator[Delivery]:
    """A stretch in deliveries of so many records."""
    while stretch.left:
        gatherer = Gatherer(
            stretch.topic, dict(stretch.position), most_records=most_records, most_bytes=MOST_BYTES, clock=clock
        )
        while (room := gatherer.room) > 0 and (came := await stretch.take(room)):
            for partition, records in came.items():
                gatherer.take(partition, records)
        if not gatherer.is_empty:
            yield gatherer.delivery()


async def count(stretch: Stretch, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Counter[Cell]:
    """The records of a stretch by tenant and hour of receipt."""
    counted: Counter[Cell] = Counter()
    while came := await stretch.take(MOST_RECORDS):
        for records in came.values():
            counted.update(cell_of(each) for each in records)
        progress(stretch.records - stretch.left, stretch.records)
    return counted


def cell_of(found: ConsumerRecord) -> Cell:
    """Where landing will count a record."""
    try:
        event = record.decode_event(found.value or b"")
    except record.UndecodableRecord:
        return (found.key or b"").decode(errors="replace"), found.timestamp // MILLISECONDS_PER_HOUR
    return event.tenant_id, hour_of(event.received_at)


async def _offsets_at(
    client: AIOKafkaConsumer, settings: Settings, ends: Mapping[int, int], moment: datetime
) -> dict[int, int]:
    """By partition, the first record appended at a moment or later, and the end where there is none."""
    milliseconds = max(0, int(moment.timestamp() * MILLISECONDS))
    topic = settings.kafka.topic
    if not ends:
        return {}
    with translated(settings):
        found = await client.offsets_for_times({TopicPartition(topic, p): milliseconds for p in ends})
    return {tp.partition: min(at.offset, ends[tp.partition]) if at else ends[tp.partition] for tp, at in found.items()}
