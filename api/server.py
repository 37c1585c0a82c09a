"""Serving the application on a socket, with bounds on what a client may hold open.

The caller decides when it ends and what signals mean; the server then stops listening, answers what
it has taken in, and lets the application close what it was given.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from api.protocol import GuardedProtocol
from pipeline.core.errors import StackError

CONNECTIONS = 1_000
IDLE_SECONDS = 30
GRACE_SECONDS = 30
"""What requests have to be answered in once the server is to stop."""


class _Server(uvicorn.Server):
    """uvicorn, telling when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serves = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serves.set()


@contextmanager
def serve(
    app: FastAPI, *, host: str, port: int, connections: int = CONNECTIONS, idle_seconds: int = IDLE_SECONDS
) -> Iterator[str]:
    """Serve while the block runs, on a thread of its own; yields the base URL. Port 0 takes a free one.

    Raises StackError where the address cannot be listened on. The end of the block waits for the
    answers to requests that were taken in, GRACE_SECONDS at most.
    """
    listener = _listen(host, port)
    server = _Server(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=connections,
            timeout_keep_alive=idle_seconds,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )

    def run() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            server.serves.set()

    thread = threading.Thread(target=run, name="api", daemon=True)
    thread.start()
    server.serves.wait()
    try:
        if not server.started:
            raise StackError("The API did not start; its log says why.")
        yield _url(host, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        raise StackError(
            f"Cannot listen on port {port} of {host}: {error.strerror}.", remedy="Choose another with --port."
        ) from error


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
