"""The landing as an event loop calls it: on one thread of its own, one call after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from pipeline.stream.delivery import Delivery, Landing, Move, Settled

P = ParamSpec("P")
T = TypeVar("T")


class LandingThread:
    """See `Landing`; a call that its caller no longer waits for still runs to its end."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lander")

    async def find_offsets(self, topic: str, beginnings: Mapping[int, int]) -> dict[int, int]:
        return await self._call(self._landing.find_offsets, topic, beginnings)

    async def find_marks(self, topic: str) -> dict[int, int]:
        return await self._call(self._landing.find_marks, topic)

    async def restart(self, topic: str, moves: Mapping[int, Move]) -> None:
        await self._call(self._landing.restart, topic, moves)

    async def land(self, delivery: Delivery) -> Settled:
        return await self._call(self._landing.land, delivery)

    def close(self) -> None:
        """Take no more calls; one that is under way is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        # What is traced and logged there is about the same delivery as here.
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: context.run(work, *arguments, **named)
        )
