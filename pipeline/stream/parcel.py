"""A parcel: the events of one publish on their way to the broker, or into the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from pipeline.core import tracing
from pipeline.core.clock import hour_of
from pipeline.core.events import Event, Fate, Landed
from pipeline.stream.headers import Headers, headers_of
from pipeline.stream.record import encode_event
from pipeline.stream.routing import route
from pipeline.stream.spool import Row, size_of


class Parcel(msgspec.Struct, kw_only=True, eq=False):
    """Events with their records, and who waits for them; the waiter may have gone."""

    events: Sequence[Event]
    routes: list[int]
    values: list[bytes]
    size: int
    """Bytes that it is counted with, in memory and in the spool."""
    answer: asyncio.Future[list[Landed]]
    headers: Headers = []
    """Of each of its records: the span that it was published in, where there is one."""
    open_parts: int = 0
    """Partitions that have not acknowledged theirs."""
    sent: bool = False
    """Whether any of it may be in the stream."""

    @classmethod
    def pack(cls, events: Sequence[Event], shards: int, answer: asyncio.Future[list[Landed]]) -> Parcel:
        """The parcel of a publish."""
        values = [encode_event(event) for event in events]
        return cls(
            events=events,
            routes=[route(event, shards) for event in events],
            values=values,
            size=sum(size_of(event.tenant_id, value) for event, value in zip(events, values, strict=True)),
            answer=answer,
            headers=headers_of(tracing.traceparent()),
        )

    def split(self, partitions: int) -> dict[int, list[tuple[bytes, bytes]]]:
        """Keys and values by partition."""
        parts: dict[int, list[tuple[bytes, bytes]]] = {}
        for event, number, value in zip(self.events, self.routes, self.values, strict=True):
            parts.setdefault(number % partitions, []).append((event.tenant_id.encode(), value))
        return parts

    def rows(self) -> list[Row]:
        """As the spool keeps it."""
        return [
            Row(event.tenant_id, number, hour_of(event.received_at), value)
            for event, number, value in zip(self.events, self.routes, self.values, strict=True)
        ]

    def tell(self, outcome: Fate | Exception) -> None:
        """Answer the waiter, if it is still there."""
        if self.answer.done():
            return
        if isinstance(outcome, Fate):
            self.answer.set_result([Landed(fate=outcome)] * len(self.events))
        else:
            self.answer.set_exception(outcome)
