"""Lanes: what waits for one partition, and what is on its way there.

While a batch is on its way the next one gathers (group commit per partition); nothing waits for a
timer. A lane keeps the order in which parcels were put on it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context

import msgspec
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.core.errors import StreamError, StreamUnavailable
from pipeline.stream.broker import Broker
from pipeline.stream.parcel import Parcel
from pipeline.stream.port import Group


class _Part(msgspec.Struct, kw_only=True, eq=False):
    """A parcel's records for this lane."""

    parcel: Parcel
    records: list[tuple[bytes, bytes]]
    next: int = 0


class Lane:
    """One partition's. Closed at first: what is put on it waits until `open`."""

    def __init__(
        self,
        partition: int,
        broker: Broker,
        *,
        acknowledge: Callable[[Parcel], None],
        fail: Callable[[StreamError], None],
        observe: Callable[[Group], None] | None,
    ) -> None:
        """`acknowledge` is told of each parcel once this partition has all of its part, `fail` that one was refused."""
        self._partition = partition
        self._broker = broker
        self._acknowledge = acknowledge
        self._fail = fail
        self._observe = observe
        self._waiting: deque[_Part] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._open = False

    def put(self, parcel: Parcel, records: list[tuple[bytes, bytes]]) -> None:
        """Take a parcel's records for this partition."""
        self._waiting.append(_Part(parcel=parcel, records=records))
        self._send_soon()

    def open(self) -> None:
        """Begin to send."""
        self._open = True
        self._send_soon()

    def close(self) -> None:
        """Send no more."""
        self._open = False
        self._waiting.clear()
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()

    def _send_soon(self) -> None:
        if self._open and self._waiting and self._sending is None:
            # In no request's context: it is about all of them.
            self._sending = asyncio.create_task(self._send(), name=f"lane {self._partition}", context=Context())

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._broker.new_batch()
                completed = self._fill(batch)
                started = time.perf_counter()
                await self._broker.send(batch, self._partition)
                for parcel in completed:
                    self._acknowledge(parcel)
                if self._observe is not None:
                    seconds = time.perf_counter() - started
                    self._observe(Group(events=batch.record_count(), publishes=len(completed), seconds=seconds))
        except StreamError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  # told as the reason why the broker is not published to
            self._fail(StreamUnavailable(f"Publishing failed: {error!r}."))
        finally:
            self._sending = None

    def _fill(self, batch: BatchBuilder) -> list[Parcel]:
        """Put as much as fits into a batch; answers the parcels whose last record of this lane is in it."""
        completed: list[Parcel] = []
        now = int(time.time() * 1000)
        append = batch.append
        while self._waiting:
            part = self._waiting[0]
            part.parcel.sent = True
            records, headers = part.records, part.parcel.headers
            for index in range(part.next, len(records)):
                key, value = records[index]
                if append(timestamp=now, key=key, value=value, headers=headers) is None:
                    part.next = index
                    return completed
            self._waiting.popleft()
            completed.append(part.parcel)
        return completed
