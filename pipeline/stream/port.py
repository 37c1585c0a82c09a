"""The port through which accepted events leave the front door.

An adapter answers when the events are durable, not when they are queued: what it returns may be
acknowledged to the sender. It does not decode, deduplicate or retry; the landing behind it decides
fates, and the sender retries with the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from pipeline.core.errors import WorkbenchError
from pipeline.core.events import Event, Landed


class Overloaded(WorkbenchError):
    """Too many events wait for landing; none of these was taken, so try again in a moment."""

    retryable = True


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What became durable at once, for observers of adapters that gather the events of several publishes."""

    events: int
    publishes: int
    seconds: float


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """By what events are made durable now, and what is amiss although they are."""

    durable_by: Literal["database", "broker", "spool", "memory"]
    warning: str | None = None


class Publisher(Protocol):
    """Takes events of any tenants and tells the fate of each once it is durable."""

    async def open(self) -> None:
        """Begin, in the event loop that publishes; what cannot be reached yet does not keep it from beginning."""
        ...

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:
        """The fates, aligned with the events.

        `shards` is over how many partitions each of their tenants is spread, where there are any.
        Raises Overloaded, then none was taken; or DatabaseUnavailable or StreamUnavailable, then each
        may or may not have been taken, and handing it over again under the same id is safe.
        """
        ...

    async def check(self) -> Readiness:
        """How events are made durable now; raises WorkbenchError with the reason where they cannot be."""
        ...

    async def close(self) -> None:
        """Take no more, finish what was taken."""
        ...
