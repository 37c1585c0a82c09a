"""Around every request: measuring it, and ending the connection of one whose body was not read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics

LINGER_SECONDS = 2.0
LINGER_BYTES = 16_777_216


class Measured:
    """Tells the metrics of every answered request; a path that is not one of ours counts as `other`."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes else "other"
        started = time.perf_counter()
        answered = False

        async def send_measured(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._metrics.observe_request(route, message["status"], time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, send_measured)
        finally:
            if not answered:
                self._metrics.observe_request(route, 500, time.perf_counter() - started)


class ClosesUnread:
    """Answers a request whose body was not read to its end with `Connection: close`.

    The next bytes on that connection would be the rest of the body, not a request. After the answer
    the rest is taken in and thrown away, LINGER_SECONDS and LINGER_BYTES at most: closing at once
    resets the connection, and many clients then report the reset instead of the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _announces_body(scope):
            await self._app(scope, receive, send)
            return
        read = False

        async def receive_noting_end() -> Message:
            nonlocal read
            message = await receive()
            read = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def send_closing(message: Message) -> None:
            if not read and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            if read or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            await drain()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def drain() -> None:
            try:
                left = LINGER_BYTES
                async with asyncio.timeout(LINGER_SECONDS):
                    while not read and left > 0:
                        left -= len((await receive_noting_end()).get("body", b""))
            except TimeoutError:
                pass

        await self._app(scope, receive_noting_end, send_closing)


def _announces_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
