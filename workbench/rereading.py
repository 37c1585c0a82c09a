"""Landing a part of the stream again: what was stored stays, what is missing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec

from pipeline.core.database import Database
from pipeline.core.settings import Settings
from pipeline.land.landing import StreamLander
from pipeline.stream.delivery import Delivery, Settled
from pipeline.stream.reading import deliveries, open_landed
from workbench.accounting.snapshot import snapshot
from workbench.accounting.stream import read_landed

Bar = Callable[[int], AbstractContextManager[Callable[[], None]]]
"""Takes how many records there are at most; what it yields is called after each delivery."""


class Reread(msgspec.Struct, frozen=True, kw_only=True):
    """How many records were read again, and what of them was new: duplicates are stored already."""

    read: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0


class Rereader:
    """Lands again what has landed since a moment; `reread` is what is durable so far."""

    def __init__(self, settings: Settings, database: Database, *, lander: StreamLander) -> None:
        self._settings = settings
        self._database = database
        self._lander = lander
        self.reread = Reread()

    async def run(self, *, since: datetime, until: datetime | None, bar: Bar) -> None:
        """Read and land again. Raises DatabaseUnavailable or StreamError; cancelled, it ends with a delivery."""
        with snapshot(self._database, application="workbench_replay") as connection:
            landed = read_landed(connection, self._settings.kafka.topic)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lander") as thread:
            async with open_landed(self._settings, landed, since=since, until=until) as stretch:
                with bar(stretch.records) as advance:
                    async for delivery in deliveries(stretch):
                        await self._land(thread, delivery)
                        advance()

    def finish(self, *, actor: str, since: datetime, until: datetime | None, complete: bool) -> None:
        """Note in the audit log who did what. Raises DatabaseUnavailable."""
        details = {"topic": self._settings.kafka.topic, "from": since, "to": until, "complete": complete}
        self._lander.record_replay(actor=actor, details=msgspec.to_builtins({**details, "result": self.reread}))
        self._lander.close()

    async def _land(self, thread: ThreadPoolExecutor, delivery: Delivery) -> None:
        landing = asyncio.get_running_loop().run_in_executor(thread, self._lander.land_again, delivery)
        try:
            self._count(delivery, await asyncio.shield(landing))
        except asyncio.CancelledError:
            self._count(delivery, await landing)
            raise

    def _count(self, delivery: Delivery, settled: Settled) -> None:
        self.reread = Reread(
            read=self.reread.read + delivery.records,
            stored=self.reread.stored + settled.stored,
            duplicate=self.reread.duplicate + settled.duplicate,
            dead_lettered=self.reread.dead_lettered + settled.dead_lettered,
        )
