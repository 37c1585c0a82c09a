"""Publishing into memory: the rules of landing without a database.

For tests, ours and yours, of programs that publish. Nothing outlives the process, and nothing is
promoted from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.core.errors import WorkbenchError
from pipeline.core.events import Event, Fate, Landed
from pipeline.stream.port import Readiness


class MemoryPublisher:
    """Keeps what was published: `stored` by tenant and event id, `conflicts` in order of arrival.

    While `failure` is set, publishing and checking raise it and nothing is kept.
    """

    def __init__(self) -> None:
        self.stored: dict[tuple[str, UUID], Event] = {}
        self.conflicts: list[Event] = []
        self.failure: WorkbenchError | None = None

    async def open(self) -> None:
        """Nothing to begin."""

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
        await self.check()
        return [self._land(event) for event in events]

    async def check(self) -> Readiness:
        if self.failure is not None:
            raise self.failure
        return Readiness(durable_by="memory")

    async def close(self) -> None:
        self.failure = WorkbenchError("The publisher is closed.")

    def _land(self, event: Event) -> Landed:
        first = self.stored.setdefault((event.tenant_id, event.event_id), event)
        if first is event:
            return Landed(fate=Fate.STORED)
        if first.payload_hash == event.payload_hash:
            return Landed(fate=Fate.DUPLICATE)
        self.conflicts.append(event)
        return Landed(fate=Fate.CONFLICT, detail="event_id is taken by an event with another payload")
