"""Serving the notebooks on a socket, on a thread of its own. The caller decides when it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from pipeline.core.errors import StackError
from pipeline.core.notebooks import NotebookSettings
from workbench.serving.app import Application

CONNECTIONS = 2_000
IDLE_SECONDS = 30
GRACE_SECONDS = 5
"""What requests have to be answered in once the server is to stop; WebSockets are told at once."""
PING_SECONDS = 20.0
LONGEST_MESSAGE = 1_000_000
"""Bytes of a WebSocket message from a browser, which has little to say there."""


class _Server(uvicorn.Server):
    """uvicorn, telling when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serves = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serves.set()


@contextmanager
def serve(make_app: Callable[[int], Application], settings: NotebookSettings) -> Iterator[int]:
    """Serve while the block runs; yields the port. `make_app` gets the port, which port 0 leaves open.

    Raises StackError where the address cannot be listened on. The end of the block closes all notebooks
    and waits for it.
    """
    listener = _listen(settings.host, settings.port)
    port = int(listener.getsockname()[1])
    try:
        server = _Server(_config(make_app(port), settings))
        thread = threading.Thread(target=_run, args=(server, listener), name="notebooks", daemon=True)
        thread.start()
        server.serves.wait()
        try:
            if not server.started:
                raise StackError("The notebook server did not start; its log says why.")
            yield port
        finally:
            server.should_exit = True
            thread.join()
    finally:
        listener.close()


def _run(server: _Server, listener: socket.socket) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        server.serves.set()


def _config(app: Application, settings: NotebookSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Session ids stand in addresses: nobody logs those.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws_max_size=LONGEST_MESSAGE,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise StackError(
            f"The notebook server cannot listen on port {port} of {host}: {error.strerror}.",
            remedy="Choose another with --port.",
        ) from error
