"""Reading ahead on a thread of its own, so that slow reading and slow sending overlap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from queue import Full, Queue
from threading import Thread
from typing import TypeVar

ITEMS_PER_CHUNK = 1_000
CHUNKS_AHEAD = 4

Item = TypeVar("Item")


async def read_ahead(items: Iterable[Item]) -> AsyncGenerator[list[Item], None]:
    """The items in chunks, in their order; then raises what ended the reading, if anything did.

    The thread is a daemon and is left behind if the reader goes away: reading from a terminal or a
    pipe cannot be interrupted.
    """
    queue: Queue[list[Item] | Exception | None] = Queue(CHUNKS_AHEAD)
    Thread(target=_feed, args=(items, queue), name="read ahead", daemon=True).start()
    try:
        while (chunk := await asyncio.to_thread(queue.get)) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
    finally:
        # If this was cancelled, a thread still waits for the queue.
        with suppress(Full):
            queue.put_nowait(None)


def _feed(items: Iterable[Item], queue: Queue[list[Item] | Exception | None]) -> None:
    chunk: list[Item] = []
    failure: Exception | None = None
    try:
        for item in items:
            chunk.append(item)
            if len(chunk) == ITEMS_PER_CHUNK:
                queue.put(chunk)
                chunk = []
    except Exception as error:  # noqa: BLE001  # raised again by the reader
        failure = error
    queue.put(chunk)
    queue.put(failure)
