"""What is in flight: acknowledged, but not landed. It waits in the stream, or in a spool of this machine.

The spools are counted after the database was read, and before the stream: an event that is on its
way from one to the other meanwhile may be counted twice, but none is overlooked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pipeline.core.clock import hour_of
from pipeline.core.errors import StreamError
from pipeline.core.settings import Settings
from pipeline.land.dead_letters import filed_under
from pipeline.land.ledger import Cell
from pipeline.stream.reading import count, open_tail
from pipeline.stream.spool import count_spooled


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Events in flight by tenant and hour of receipt; or `problem`, why they cannot be counted."""

    counted: Mapping[Cell, int] = {}
    problem: str | None = None

    @property
    def known(self) -> bool:
        """Whether they could be counted."""
        return self.problem is None

    @property
    def total(self) -> int | None:
        """All of them, or None where that is not known."""
        return sum(self.counted.values()) if self.known else None

    def by_tenant(self) -> Counter[str]:
        """By tenant alone."""
        counted: Counter[str] = Counter()
        for (tenant_id, _), events in self.counted.items():
            counted[tenant_id] += events
        return counted


class StreamCounter:
    """Counts what is in flight; more than `most` records in the stream are not read."""

    def __init__(
        self,
        settings: Settings,
        *,
        spool: Path,
        most: int | None = None,
        progress: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> None:
        self.topic = settings.kafka.topic
        self._settings = settings
        self._spool = spool
        self._most = most
        self._progress = progress

    def count(self, landed: Mapping[int, int]) -> InFlight:
        """Count what is in flight, of which `landed` is the next record to land by partition."""
        counted: Counter[Cell] = Counter()
        try:
            for (tenant_id, hour), events in count_spooled(self._spool).items():
                counted[filed_under(tenant_id), hour_of(hour)] += events
            for (tenant_id, since_1970), events in asyncio.run(self._count_tail(landed)).items():
                counted[filed_under(tenant_id), since_1970] += events
        except StreamError as error:
            return InFlight(problem=error.message)
        return InFlight(counted=counted)

    async def _count_tail(self, landed: Mapping[int, int]) -> Counter[Cell]:
        async with open_tail(self._settings, landed) as tail:
            if self._most is not None and tail.records > self._most:
                raise StreamError(f"{tail.records:,} records are in flight, more than are read to be counted.")
            return await count(tail, self._progress)
