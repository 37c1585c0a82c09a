"""Writing into the spool by group commit: all parcels that wait are appended and fsync'd together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import ParamSpec, TypeVar

from pipeline.core.errors import StreamUnavailable, WorkbenchError
from pipeline.core.events import Fate
from pipeline.stream.parcel import Parcel
from pipeline.stream.port import Group
from pipeline.stream.spool import Row, Spool, SpoolFull

GROUP_BYTES = 8_388_608

P = ParamSpec("P")
T = TypeVar("T")


class Spooler:
    """Appends parcels in the order in which they were put, and runs everything else that touches a spool.

    `settle` is told of each parcel's outcome.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        settle: Callable[[Parcel, Fate | Exception], None],
        observe: Callable[[Group], None] | None,
    ) -> None:
        self.spool = spool
        self.trouble: WorkbenchError | None = None
        """Why the last append failed, if it did."""
        self._settle = settle
        self._observe = observe
        self._waiting: deque[Parcel] = deque()
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    @property
    def room(self) -> int:
        """Bytes that still fit beside what waits."""
        return self.spool.room - self._waiting_bytes

    @property
    def idle(self) -> bool:
        """Whether all that was put has been settled."""
        return self._writing is None

    def put(self, parcel: Parcel) -> None:
        """Take a parcel."""
        self._waiting.append(parcel)
        self._waiting_bytes += parcel.size
        if self._writing is None:
            # In no request's context: it is about all of them.
            self._writing = asyncio.create_task(self._write(), name="group commit into the spool", context=Context())

    async def until_idle(self) -> None:
        """Wait until all that was put has been settled."""
        while self._writing is not None:
            await asyncio.wait({self._writing})

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the thread of the spool, which has one."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Settle what was put, and let go of the spool."""
        await self.until_idle()
        await self.run(self.spool.close)
        self._thread.shutdown()

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._append(self._take_group())
        finally:
            self._writing = None

    def _take_group(self) -> list[Parcel]:
        group = [self._waiting.popleft()]
        size = group[0].size
        while self._waiting and size + self._waiting[0].size <= GROUP_BYTES:
            group.append(self._waiting.popleft())
            size += group[-1].size
        return group

    async def _append(self, group: list[Parcel]) -> None:
        started = time.perf_counter()
        try:
            await self.run(lambda: self.spool.append(_rows(group)))
        except Exception as error:  # noqa: BLE001  # raised again by each waiter
            if isinstance(error, SpoolFull) and len(group) > 1:
                # What is too much together may fit in part.
                half = len(group) // 2
                await self._append(group[:half])
                await self._append(group[half:])
                return
            self.trouble = error if isinstance(error, WorkbenchError) else StreamUnavailable(f"Spooling: {error!r}.")
            for parcel in group:
                self._finish(parcel, _refusal(parcel, self.trouble))
            return
        self.trouble = None
        for parcel in group:
            self._finish(parcel, Fate.SPOOLED)
        if self._observe is not None:
            events = sum(len(parcel.events) for parcel in group)
            self._observe(Group(events=events, publishes=len(group), seconds=time.perf_counter() - started))

    def _finish(self, parcel: Parcel, outcome: Fate | Exception) -> None:
        self._waiting_bytes -= parcel.size
        self._settle(parcel, outcome)


def _rows(group: list[Parcel]) -> list[Row]:
    return [row for parcel in group for row in parcel.rows()]


def _refusal(parcel: Parcel, error: WorkbenchError) -> WorkbenchError:
    """What a parcel's waiter is told: once anything of it was sent, nobody knows what became of it."""
    if parcel.sent and isinstance(error, SpoolFull):
        return StreamUnavailable(f"The broker did not acknowledge these events in time, and {error.message}")
    return error
