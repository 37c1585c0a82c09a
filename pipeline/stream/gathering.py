"""Gathering: records of several partitions become one delivery.

A delivery is bounded in records and bytes; which records it takes is the consumer's to decide. A
record that holds no event is in it like any other: nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from aiokafka import ConsumerRecord

from pipeline.core.clock import EPOCH, Clock
from pipeline.core.events import Event
from pipeline.stream import record
from pipeline.stream.delivery import Delivery, Move, Origin, Undecodable
from pipeline.stream.headers import traceparents

LATEST_MILLISECONDS = 253_402_300_799_999
"""The end of the year 9999, the last that a time can lie in."""


class Misplaced(Exception):
    """A record lies before the next one to land: the partition must be looked at anew."""


class Gatherer:
    """Takes records until it is full. `expected` is the next record to land, by partition."""

    def __init__(
        self, topic: str, expected: dict[int, int], *, most_records: int, most_bytes: int, clock: Clock
    ) -> None:
        self._topic = topic
        self._expected = expected
        self._next: dict[int, int] = {}
        self._marks: dict[int, int] = {}
        self._events: list[Event] = []
        self._origins: list[Origin] = []
        self._undecodable: list[Undecodable] = []
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._bytes = 0
        self._published_in: dict[str, None] = {}
        self._clock = clock

    @property
    def room(self) -> int:
        """How many records it takes; 0 when it is full."""
        if self._bytes >= self._most_bytes:
            return 0
        return max(0, self._most_records - len(self._events) - len(self._undecodable))

    @property
    def is_empty(self) -> bool:
        """Whether it has taken nothing."""
        return not self._next

    def take(self, partition: int, records: Iterable[ConsumerRecord]) -> None:
        """Take records of a partition, in their order.

        Offsets may be left out, where the broker keeps marks of its own; they may not go back, then
        Misplaced is raised.
        """
        following = self._next.get(partition, self._expected[partition])
        for each in records:
            if each.offset < following:
                raise Misplaced
            following = each.offset + 1
            self._marks[partition] = each.timestamp
            value = each.value or b""
            self._bytes += len(value)
            if each.headers:
                self._published_in |= dict.fromkeys(traceparents(each.headers))
            origin = Origin(self._topic, partition, each.offset)
            try:
                event = record.decode_event(value)
            except record.UndecodableRecord as error:
                self._undecodable.append(self._refused(each, value, origin, error.message))
            else:
                self._events.append(event)
                self._origins.append(origin)
        self._next[partition] = following

    def delivery(self) -> Delivery:
        """What was taken."""
        return Delivery(
            topic=self._topic,
            events=self._events,
            origins=self._origins,
            undecodable=self._undecodable,
            moves={
                partition: Move(expected=self._expected[partition], next=following)
                for partition, following in self._next.items()
            },
            marks=self._marks,
            published_in=tuple(self._published_in),
        )

    def _refused(self, each: ConsumerRecord, value: bytes, origin: Origin, detail: str) -> Undecodable:
        known = 0 <= each.timestamp <= LATEST_MILLISECONDS
        return Undecodable(
            tenant_id=(each.key or b"").decode(errors="replace"),
            original=value,
            received_at=EPOCH + timedelta(milliseconds=each.timestamp) if known else self._clock(),
            detail=detail,
            origin=origin,
        )
