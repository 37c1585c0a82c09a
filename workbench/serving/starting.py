"""Turns at starting: of the notebooks that people open at the same moment, a few run their first time at once.

All notebooks of a process share one interpreter. Sixty that start together would each get a sixtieth of it, nobody
would see anything for as long as all of them take, and the server could not even answer in the meantime. In turns,
those who came first are served first. Who waits is connected already, so that no browser gives up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

AT_ONCE = 3
"""More than one, since a first run also waits for the database."""
LONGEST_SECONDS = 5.0
"""A notebook whose first run takes longer goes on, and lets the next one begin."""
STARTED = ('"completed-run"', '"reconnected"')
"""What marimo tells a browser after the first run, or where the session runs already."""
MOST_HEARD = 16
"""Messages of a browser that are kept while it waits."""


class Starts:
    """Gives turns to the WebSockets of notebooks, in the order in which they come."""

    def __init__(self, *, at_once: int = AT_ONCE, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._longest_seconds = longest_seconds

    def around(self, inner: ASGIApp) -> ASGIApp:
        """The same application, called once a turn is free; the browser is let in before."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            heard: asyncio.Queue[Message] = asyncio.Queue(MOST_HEARD)
            heard.put_nowait(await receive())
            await send({"type": "websocket.accept"})
            gone = asyncio.Event()
            listening = asyncio.create_task(_listen(receive, heard, gone))
            try:
                if await self._wait(gone):
                    await self._run(inner, scope, heard.get, send)
            finally:
                listening.cancel()

        return serve

    async def _wait(self, gone: asyncio.Event) -> bool:
        """Wait for a turn; False if the browser left before, and nobody has the turn."""
        turn = asyncio.create_task(self._free.acquire())
        leaving = asyncio.create_task(gone.wait())
        got_it = False
        try:
            await asyncio.wait((turn, leaving), return_when=asyncio.FIRST_COMPLETED)
            got_it = turn.done() and not gone.is_set()
        finally:
            leaving.cancel()
            if turn.done() and not got_it:
                self._free.release()
            turn.cancel()
        return got_it

    async def _run(self, inner: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and end the turn with the first run, after the longest time, or with the WebSocket."""
        turn = _Turn(self._free)
        ending = asyncio.get_running_loop().call_later(self._longest_seconds, turn.end)

        async def tell(message: Message) -> None:
            # The browser was let in already.
            if message["type"] != "websocket.accept":
                await send(message)
            if any(word in (message.get("text") or "") for word in STARTED):
                turn.end()

        try:
            await inner(scope, receive, tell)
        finally:
            ending.cancel()
            turn.end()


class _Turn:
    """A turn that was got, which ends once."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def end(self) -> None:
        if self._free is not None:
            self._free.release()
            self._free = None


async def _listen(receive: Receive, heard: asyncio.Queue[Message], gone: asyncio.Event) -> None:
    """Keep what the browser says for when it is asked for, and note that it leaves."""
    message: Message = {"type": ""}
    while message["type"] != "websocket.disconnect":
        message = await receive()
        if message["type"] == "websocket.disconnect":
            gone.set()
        await heard.put(message)
