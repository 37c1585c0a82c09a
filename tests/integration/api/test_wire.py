"""The server on a real socket: what clients do that an application in memory never sees."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.protocol import OVERHEAD_BYTES, GuardedProtocol
from api.server import serve
from pipeline.core.errors import StackError
from pipeline.core.events import Event, Landed
from pipeline.stream.memory import MemoryPublisher
from tests.unit.api.keys import KEY, Keys

EVENT = b'{"event_type":"page_view"}'
HEAD = (
    b"POST /v1/events HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + KEY.encode() + b"\r\n"
)
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT
DEADLINE = 10.0

Serve = Callable[..., str]


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def served(publisher: MemoryPublisher) -> Iterator[Serve]:
    """Serves applications until the test ends; answers the base URL."""
    with ExitStack() as servers:

        def start(*, app: dict[str, Any] | None = None, **options: int) -> str:
            application = create_app(publisher=publisher, keys=Keys(), **(app or {}))
            return servers.enter_context(serve(application, host="127.0.0.1", port=0, **options))

        yield start


def connect(url: str) -> socket.socket:
    parts = httpx.URL(url)
    return socket.create_connection((parts.host, parts.port or 80), timeout=DEADLINE)


def read_to_end(connection: socket.socket) -> bytes:
    """All that the server sends until it closes the connection, which it has DEADLINE seconds for."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """One answer; the connection stays open."""
    head, body = b"", b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head[9:12]), json.loads(body)


def code_of(answer: bytes) -> str:
    """The error code of the only answer on a connection."""
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])


def exchange(url: str, sent: bytes) -> bytes:
    with connect(url) as connection:
        connection.sendall(sent)
        return read_to_end(connection)


def test_a_connection_serves_request_after_request(served: Serve) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(EVENT) + EVENT + b"\r\n0\r\n\r\n"
    with connect(served()) as connection:
        for request in (WHOLE, chunked, WHOLE):
            connection.sendall(request)
            assert read_answer(connection)[1]["accepted"] == 1


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        pytest.param(
            HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n",
            "malformed_request",
            id="Content-Length and Transfer-Encoding",
        ),
        pytest.param(
            HEAD + b"Content-Length: 26\r\nContent-Length: 27\r\n\r\n" + EVENT,
            "malformed_request",
            id="two lengths",
        ),
        pytest.param(b"\x16\x03\x01 TLS\r\n\r\n", "malformed_request", id="no HTTP"),
        pytest.param(b"CONNECT door:80 HTTP/1.1\r\nHost: door\r\n\r\n", "malformed_request", id="a proxy request"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * OVERHEAD_BYTES, "head_too_large", id="a head without end"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * OVERHEAD_BYTES,
            "head_too_large",
            id="trailers without end",
        ),
    ],
)
def test_what_is_no_acceptable_http_is_refused_and_the_connection_closed(
    request_bytes: bytes, code: str, served: Serve, publisher: MemoryPublisher
) -> None:
    assert code_of(exchange(served(), request_bytes)) == code
    assert not publisher.stored


def test_garbage_after_a_whole_request_does_not_cost_its_answer(served: Serve) -> None:
    answer = exchange(served(), WHOLE + b"\0garbage\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_offer_of_another_protocol_is_declined_and_the_body_kept(served: Serve) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    request = WHOLE.replace(b"Host: door\r\n", b"Host: door\r\n" + offer)
    with connect(served()) as connection:
        for cut in (len(request), 30, len(request) - 5):
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            assert read_answer(connection)[1]["accepted"] == 1


def test_slow_heads_and_idle_connections_are_closed(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "head_seconds", 0.3)
    url = served(idle_seconds=1)
    with connect(url) as silent, connect(url) as slow, connect(url) as idle:
        idle.sendall(WHOLE)
        assert read_answer(idle)[0] == 200
        started = time.monotonic()
        trickle(slow, b"POST /v1/events HTTP/1.1\r\nX: " + b"x" * 1_000)
        assert time.monotonic() - started < DEADLINE
        assert code_of(read_to_end(slow)) == "head_timeout"
        assert read_to_end(silent) == b""
        assert read_to_end(idle) == b""
    with connect(url) as blank:
        blank.sendall(WHOLE)
        assert read_answer(blank)[0] == 200
        trickle(blank, b"\r\n" * 1_000)
        assert code_of(read_to_end(blank)) == "head_timeout"


def trickle(connection: socket.socket, data: bytes) -> None:
    """A byte now and then, until the server answers or closes."""
    for position in range(len(data)):
        connection.sendall(data[position : position + 1])
        if select.select([connection], [], [], 0.02)[0]:
            return
    raise AssertionError("the server kept listening")


def test_a_slow_body_is_given_up(served: Serve) -> None:
    url = served(app={"body_seconds": 0.3})
    with connect(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 26\r\n\r\n{")
        assert read_answer(connection)[1]["code"] == "body_timeout"


def test_a_refusal_is_sent_before_the_body_and_reaches_clients_that_send_it_first(served: Serve) -> None:
    """Closing at once would reset the connection, and many clients would not read the answer."""
    url = served()
    body = b" " * 4_000_000
    wrong_key = HEAD.replace(KEY.encode(), b"wrong")
    assert code_of(exchange(url, wrong_key + b"Content-Length: 4000000\r\n\r\n" + body)) == "unauthorized"
    too_large = HEAD + b"Content-Length: 8000000\r\n\r\n"
    assert code_of(exchange(url, too_large + body + body)) == "body_too_large"
    with connect(url) as connection:
        connection.sendall(too_large)
        assert read_answer(connection)[1]["code"] == "body_too_large"


def test_a_bomb_is_refused_when_its_limit_is_reached(served: Serve) -> None:
    bomb = gzip.compress(b"\0" * 1_000_000) * 4_000
    answer = httpx.post(
        f"{served()}/v1/events",
        content=bomb[:4_900_000],
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=DEADLINE,
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "inflated_body_too_large")


def test_a_client_may_ask_before_it_sends_its_body(served: Serve) -> None:
    with connect(served()) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 26\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(EVENT)
        assert read_answer(connection)[0] == 200


def test_connections_beyond_the_bound_are_put_off(served: Serve) -> None:
    url = served(connections=3)
    with connect(url) as one, connect(url) as two:
        for connection in (one, two):
            connection.sendall(WHOLE)
            assert read_answer(connection)[0] == 200
        answer = exchange(url, b"")
        assert code_of(answer) == "overloaded"
        assert b"retry-after: 2" in answer
    deadline = time.monotonic() + DEADLINE
    while (status := httpx.get(f"{url}/healthz").status_code) != 200:
        assert time.monotonic() < deadline, status


def test_no_log_has_a_key_and_a_client_that_leaves_is_no_error(
    served: Serve, caplog: pytest.LogCaptureFixture, publisher: MemoryPublisher
) -> None:
    caplog.set_level(logging.DEBUG)
    url = served()
    with connect(url) as connection:
        connection.sendall(HEAD + b"Content-Length: 26\r\n\r\n{")
    assert exchange(url, WHOLE.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n")).startswith(
        b"HTTP/1.1 200"
    )
    exchange(url, WHOLE.replace(b"POST", b"P\0ST"))
    assert len(publisher.stored) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert KEY not in caplog.text


class Held(MemoryPublisher):
    """Keeps requests waiting until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.taken, self.go_on = threading.Event(), threading.Event()
        self.closed_with: int | None = None

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
        self.taken.set()
        assert await asyncio.to_thread(self.go_on.wait, DEADLINE)
        return await super().publish(events)

    async def close(self) -> None:
        self.closed_with = len(self.stored)


def test_stopping_answers_what_was_taken_in_and_then_closes_the_publisher() -> None:
    publisher = Held()
    server = ExitStack()
    url = server.enter_context(serve(create_app(publisher=publisher, keys=Keys()), host="127.0.0.1", port=0))
    with ThreadPoolExecutor() as pool, connect(url) as idle:
        answer = pool.submit(exchange, url, WHOLE)
        assert publisher.taken.wait(DEADLINE)
        stopping = pool.submit(server.close)
        assert read_to_end(idle) == b""
        with pytest.raises(OSError, match="refused"):
            connect(url)
        assert not answer.done()
        assert publisher.closed_with is None
        publisher.go_on.set()
        assert answer.result(DEADLINE).startswith(b"HTTP/1.1 200 OK")
        stopping.result(DEADLINE)
    assert publisher.closed_with == 1


def test_an_address_that_is_taken_is_told_with_a_remedy(served: Serve) -> None:
    port = httpx.URL(served()).port
    assert port
    with (
        pytest.raises(StackError, match=f"port {port} .*--port"),
        serve(create_app(publisher=MemoryPublisher(), keys=Keys()), host="127.0.0.1", port=port),
    ):
        pass
