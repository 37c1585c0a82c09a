"""Serving the notebooks on a socket, on a thread of its own. The caller decides when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from api.server import listening, running
from pipeline.core.notebooks import NotebookSettings
from workbench.serving.app import Application

CONNECTIONS = 2_000
IDLE_SECONDS = 30
GRACE_SECONDS = 5
"""What requests have to be answered in once the server is to stop; WebSockets are told at once."""
PING_SECONDS = 20.0
LONGEST_MESSAGE = 1_000_000
"""Bytes of a WebSocket message from a browser, which has little to say there."""


@contextmanager
def serve(make_app: Callable[[int], Application], settings: NotebookSettings) -> Iterator[int]:
    """Serve while the block runs; yields the port. `make_app` gets the port, which port 0 leaves open.

    Raises StackError where the address cannot be listened on. The end of the block closes all notebooks
    and waits for it.
    """
    with listening(settings.host, settings.port) as listener:
        port = int(listener.getsockname()[1])
        with running(_config(make_app(port), settings), listener, name="notebook server"):
            yield port


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
