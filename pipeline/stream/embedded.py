"""Publishing without a broker: the events of concurrent requests are landed together.

One transaction for many requests is what makes many small requests cheap (group commit). While a
group is being landed on the lander thread, the next one gathers; nothing waits for a timer. A
publish is never split over two groups, so a request is durable as a whole or not at all.

What landing does is not known here: `land` is handed in, and runs on the one lander thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

import msgspec
from opentelemetry.trace import SpanKind

from pipeline.core import tracing
from pipeline.core.errors import WorkbenchError
from pipeline.core.events import Event, Landed
from pipeline.stream.port import Group, Overloaded, Readiness

Land = Callable[[Sequence[Event]], list[Landed]]


class _Publish(msgspec.Struct, frozen=True, kw_only=True):
    events: Sequence[Event]
    answer: asyncio.Future[list[Landed]]
    published_in: str | None
    """The span of the request, where that is traced."""


class EmbeddedPublisher:
    """Lands events in this process. Belongs to the event loop that it is first used in.

    `land` is given a group of events in the order of their publishes and answers their fates once
    they are durable; `probe` raises WorkbenchError where it could not. `queued_events` bounds the
    events that wait or are being landed, `group_events` those of one group; a publish beyond either
    bound still goes through when it is alone. `observe` is told of every landed group.
    """

    def __init__(
        self,
        land: Land,
        *,
        probe: Callable[[], None],
        queued_events: int = 50_000,
        group_events: int = 10_000,
        observe: Callable[[Group], None] | None = None,
    ) -> None:
        self._land = land
        self._probe = probe
        self._queued_events = queued_events
        self._group_events = group_events
        self._observe = observe
        self._waiting: deque[_Publish] = deque()
        self._queued = 0
        self._closed = False
        self._landing: asyncio.Task[None] | None = None
        self._lander = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lander")

    @property
    def queued(self) -> int:
        """Events that wait or are being landed."""
        return self._queued

    async def open(self) -> None:
        """Nothing: the first publish begins."""

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
        if not events:
            return []
        if self._closed:
            raise Overloaded("This process is shutting down and takes no more events.")
        if self._queued and self._queued + len(events) > self._queued_events:
            raise Overloaded(f"{self._queued} events wait for landing already; none of these was taken.")
        loop = asyncio.get_running_loop()
        publish = _Publish(events=events, answer=loop.create_future(), published_in=tracing.traceparent())
        self._waiting.append(publish)
        self._queued += len(events)
        if self._landing is None:
            # In no request's context: it is about all of them.
            self._landing = loop.create_task(self._land_waiting(), name="group commit", context=Context())
        return await publish.answer

    async def check(self) -> Readiness:
        if self._closed:
            raise WorkbenchError("This process is shutting down.")
        await asyncio.to_thread(self._probe)
        return Readiness(durable_by="database")

    async def close(self) -> None:
        self._closed = True
        if self._landing is not None:
            await self._landing
        self._lander.shutdown()

    async def _land_waiting(self) -> None:
        try:
            while self._waiting:
                group = self._take_group()
                try:
                    await self._land_group(group)
                finally:
                    self._queued -= sum(len(publish.events) for publish in group)
        finally:
            self._landing = None

    def _take_group(self) -> list[_Publish]:
        group = [self._waiting.popleft()]
        size = len(group[0].events)
        while self._waiting and size + len(self._waiting[0].events) <= self._group_events:
            group.append(self._waiting.popleft())
            size += len(group[-1].events)
        return group

    async def _land_group(self, group: list[_Publish]) -> None:
        """Land a group and answer each of its publishes. Their waiters may have gone."""
        events = [event for publish in group for event in publish.events]
        started = time.perf_counter()
        try:
            fates = await self._land_traced(group, events)
            if len(fates) != len(events):
                raise RuntimeError(f"landing told {len(fates)} fates of {len(events)} events")
        except WorkbenchError as error:
            _refuse(group, error)
        except Exception as error:  # noqa: BLE001  # raised again by each waiter
            if len(group) == 1:
                _refuse(group, error)
                return
            # A defect that one request brings to light must not fail the requests beside it.
            for publish in group:
                await self._land_group([publish])
        else:
            _answer(group, fates)
            if self._observe is not None:
                seconds = time.perf_counter() - started
                self._observe(Group(events=len(events), publishes=len(group), seconds=seconds))

    async def _land_traced(self, group: list[_Publish], events: Sequence[Event]) -> list[Landed]:
        published_in = [publish.published_in for publish in group if publish.published_in is not None]
        with tracing.span_after(published_in, "land", kind=SpanKind.CONSUMER, records=len(events)):
            context = copy_context()
            return await asyncio.get_running_loop().run_in_executor(
                self._lander, lambda: context.run(self._land, events)
            )


def _answer(group: list[_Publish], fates: list[Landed]) -> None:
    start = 0
    for publish in group:
        end = start + len(publish.events)
        if not publish.answer.done():
            publish.answer.set_result(fates[start:end])
        start = end


def _refuse(group: list[_Publish], error: Exception) -> None:
    for publish in group:
        if not publish.answer.done():
            publish.answer.set_exception(error)
