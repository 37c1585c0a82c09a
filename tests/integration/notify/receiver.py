"""A webhook's receiver on this machine, which answers as a test tells it to and checks each signature itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"receiver's own key of 32 bytes..").decode()
OLDEST_SECONDS = 300
PATIENCE_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


Script = Callable[[BaseHTTPRequestHandler], None]
"""Answers one request by hand."""


class Receiver:
    """Answers 204 unless `script` holds something else: statuses, or functions, one per request."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.script: deque[int | Script] = deque()
        self.released = threading.Event()
        self._key = base64.b64decode(secret.removeprefix("whsec_"))

    def ids(self) -> Counter[str]:
        """How often each message came."""
        return Counter(received.id for received in self.received)

    def is_signed(self, received: Received) -> bool:
        """Whether the signature is right and fresh, as the specification tells receivers to check it."""
        moment = received.headers["webhook-timestamp"]
        signed = f"{received.id}.{moment}.".encode() + received.body
        expected = "v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        fresh = abs(time.time() - int(moment)) < OLDEST_SECONDS
        return fresh and hmac.compare_digest(expected, received.headers["webhook-signature"])

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request."""
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        received = Received(headers=headers, body=body)
        self.received.append(received)
        if not self.is_signed(received):
            answer_with(handler, 401, b"signature")
            return
        answer = self.script.popleft() if self.script else 204
        if isinstance(answer, int):
            answer_with(handler, answer)
        else:
            answer(handler)

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep a request waiting until `released`, then take it."""
        self.released.wait(PATIENCE_SECONDS)
        answer_with(handler, 204)

    def hang_and_fail(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep a request waiting until `released`, then refuse it."""
        self.released.wait(PATIENCE_SECONDS)
        answer_with(handler, 500)


def answer_with(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """A whole answer."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if status != 204:
        handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def receiving(secret: str = SECRET) -> Iterator[Receiver]:
    """A receiver that listens while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                receiver.handle(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # Clients under test break off in the middle.
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks/s3cret-path", secret)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()
