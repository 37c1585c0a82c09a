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
WAITING = 2_048
"""Connections that may wait to be taken in."""
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
    config = uvicorn.Config(
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
    with listening(host, port) as listener, running(config, listener, name="API"):
        yield _url(host, listener.getsockname()[1])


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket, closed in the end; port 0 takes a free one. Raises StackError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=WAITING)
    except OSError as error:
        raise StackError(
            f"Cannot listen on port {port} of {host}: {error.strerror}.", remedy="Choose another with --port."
        ) from error
    with listener:
        yield listener


@contextmanager
def running(config: uvicorn.Config, listener: socket.socket, *, name: str) -> Iterator[None]:
    """A server on a thread of its own while the block runs; its end waits for what the configuration grants.

    Raises StackError, by the server's name, if it does not start.
    """
    server = _Server(config)

    def run() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            server.serves.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    server.serves.wait()
    try:
        if not server.started:
            raise StackError(f"The {name} did not start; its log says why.")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
