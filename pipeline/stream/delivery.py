"""Deliveries: what a consumer hands over to be landed, and the port through which it does.

A delivery is a stretch of records of some partitions; landing stores what is in it and moves the
offsets of those partitions past it, together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from pipeline.core.events import Event


class Origin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The record that something came in."""

    topic: str
    partition: int
    offset: int


class Undecodable(msgspec.Struct, frozen=True, kw_only=True):
    """A record that holds no event; `tenant_id` is its key, which may be anything."""

    tenant_id: str
    original: bytes
    received_at: datetime
    """When the broker appended it."""
    detail: str
    origin: Origin


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A partition's offset before and after a delivery: the next record to land."""

    expected: int
    next: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one topic, in the order of each partition."""

    topic: str
    events: Sequence[Event]
    origins: Sequence[Origin]
    """Aligned with `events`."""
    undecodable: Sequence[Undecodable]
    moves: Mapping[int, Move]
    """By partition."""
    marks: Mapping[int, int] = {}
    """By partition, when the broker appended its last record here, in milliseconds since 1970."""
    published_in: Sequence[str] = ()
    """The spans in which they were published, where that is traced."""

    @property
    def records(self) -> int:
        """How many records it holds."""
        return len(self.events) + len(self.undecodable)


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery's records, in numbers."""

    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0


class Landing(Protocol):
    """Makes deliveries durable. Its methods block, and are called one at a time."""

    def find_offsets(self, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:
        """By partition, the next record to land.

        `beginnings` has the earliest record that each partition still holds: where a partition is new
        it begins there, where landing is behind it the gap is recorded, and landing goes on there.
        Raises DatabaseUnavailable.
        """
        ...

    def find_marks(self, topic: str) -> dict[int, int]:
        """By partition, when the broker appended the last landed record, in milliseconds since 1970.

        Raises DatabaseUnavailable.
        """
        ...

    def restart(self, topic: str, moves: Mapping[int, Move]) -> None:
        """Move the offsets of partitions whose log is not the one that was landed.

        Raises OffsetsMoved, DatabaseUnavailable.
        """
        ...

    def land(self, delivery: Delivery) -> Settled:
        """Land a delivery and move the offsets, in one transaction.

        Raises OffsetsMoved where a partition's offset is not the expected one, then nothing is stored;
        or DatabaseUnavailable, then it is stored as a whole or not at all.
        """
        ...
