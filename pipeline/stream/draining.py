"""From the spool into the stream: records are forgotten only once the broker has them.

A process killed in between, or a broker that fails, publishes some of them twice, under the same ids.
"""

from __future__ import annotations

import asyncio
import time

from pipeline.core.errors import StreamError
from pipeline.stream.broker import Broker
from pipeline.stream.spool import Spool, Spooled
from pipeline.stream.spooling import Spooler

ROWS = 10_000
MOST_BYTES = 4_194_304
LEAST_BYTES = 4_096


class Drainer:
    """Moves stretches of a spool, shorter ones after a failure: a slow broker must be able to take one in time."""

    def __init__(self, spooler: Spooler) -> None:
        self._spooler = spooler
        self._stretch_bytes = MOST_BYTES

    async def move(self, broker: Broker) -> None:
        """Move the first records of this process's spool. Raises StreamError."""
        await self._move(self._spooler.spool, broker)

    async def move_orphan(self, broker: Broker) -> bool:
        """Move all that a process left that is no more; answers whether there was any. Raises StreamError."""
        orphan = await self._spooler.run(self._spooler.spool.claim_orphan)
        if orphan is None:
            return False
        try:
            while orphan.events:
                await self._move(orphan, broker)
        finally:
            await self._spooler.run(orphan.close)
        return True

    async def _move(self, spool: Spool, broker: Broker) -> None:
        rows = await self._spooler.run(spool.peek, ROWS, self._stretch_bytes)
        if not rows:
            return
        try:
            await _send(rows, broker)
        except StreamError:
            self._stretch_bytes = max(self._stretch_bytes // 4, LEAST_BYTES)
            raise
        self._stretch_bytes = min(self._stretch_bytes * 2, MOST_BYTES)
        await self._spooler.run(spool.remove, rows[-1].seq)


async def _send(rows: list[Spooled], broker: Broker) -> None:
    partitions = broker.partitions
    parts: dict[int, list[Spooled]] = {}
    for row in rows:
        parts.setdefault(row.route % partitions, []).append(row)
    await asyncio.gather(*(_send_part(part, partition, broker) for partition, part in parts.items()))


async def _send_part(rows: list[Spooled], partition: int, broker: Broker) -> None:
    """Send a partition's records in order, a batch after the other."""
    now = int(time.time() * 1000)
    batch = broker.new_batch()
    for row in rows:
        key = row.tenant_id.encode()
        if batch.append(timestamp=now, key=key, value=row.value) is None:
            await broker.send(batch, partition)
            batch = broker.new_batch()
            batch.append(timestamp=now, key=key, value=row.value)
    await broker.send(batch, partition)
