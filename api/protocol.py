"""The wire: what uvicorn leaves open is closed here, before a request reaches the application.

A connection has HEAD_SECONDS to send a request's head, however slowly its bytes come, and may send
only so much besides bodies (heads, chunk framing, trailers). What is no HTTP, and requests that give
their length twice (Content-Length and Transfer-Encoding), the parser refuses; the answer then has
our shape. Idle connections after an answer are uvicorn's `timeout_keep_alive`, slow bodies `body.py`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.refusals import Refusal, refusal_response

HEAD_SECONDS = 10.0
OVERHEAD_BYTES = 524_288
UPGRADE_HEADERS = frozenset({b"connection", b"upgrade", b"http2-settings"})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a clock and a measure for everything that is not a body."""

    head_seconds = HEAD_SECONDS
    _head_timer: asyncio.TimerHandle | None = None
    _overhead = 0
    _arriving = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._refuse(Refusal(503, "overloaded", "Too many connections are open."))
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._arriving = len(data)
        self._overhead += self._arriving
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(Refusal(400, "malformed_request", "The request is not valid HTTP/1.1."))
        if self.transport.is_closing():
            return
        if self._overhead > OVERHEAD_BYTES:
            self._refuse(Refusal(431, "head_too_large", "The request has too many bytes besides its body."))
        elif self._unanswered() is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._overhead = self._arriving  # too much where requests come in a row, never too little

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead = max(0, self._overhead - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol as if it did not offer it.

        Java's HttpClient offers HTTP/2 with every request; the parser then takes the body for the
        other protocol's bytes, and drops it.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(Refusal(400, "malformed_request", "This is no proxy."))
            return
        lines = [method + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in UPGRADE_HEADERS]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._overhead:
            self._refuse(Refusal(408, "head_timeout", "The request's head did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer and close the connection."""
        cycle = self._unanswered()
        if cycle is not None and not cycle.more_body:
            # The request before this one is whole, so its own answer is due: close after that.
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if cycle is None or not cycle.response_started:
            response = refusal_response(refusal)
            lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
            lines += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)]))
        self.transport.close()
