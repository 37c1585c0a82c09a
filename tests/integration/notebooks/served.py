"""Notebook servers for tests: ours, and marimo as it comes, each on a free port with the same notebooks.

Of whom a request is, bare marimo learns as its documentation shows: from a header, by a middleware.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import marimo
import uvicorn

from api.embeds_desk import EmbedsDesk
from pipeline.core.clock import utc_now
from pipeline.core.notebooks import NotebookSettings
from tests.unit.workbench.serving.people import FakePeople
from workbench.serving.app import Application
from workbench.serving.catalog import read_catalog
from workbench.serving.origins import doors
from workbench.serving.server import serve
from workbench.session.freshness import Freshness

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TENANT_HEADER = "x-tenant"
SWEEP_SECONDS = 0.1


@dataclass
class Target:
    """A server with notebooks, and what a person of a tenant sends along to be known there."""

    url: str
    credentials: Callable[[str], dict[str, str]]
    people: FakePeople = field(default_factory=FakePeople)
    app: Application | None = None
    stop: Callable[[], None] = lambda: None

    def notebook(self, name: str) -> str:
        """The address of a notebook."""
        return f"{self.url}/notebooks/{name}/"

    def socket(self, name: str) -> str:
        """The address of a notebook's WebSocket."""
        return self.notebook(name).replace("http", "ws", 1) + "ws"

    @property
    def origin(self) -> str:
        """The origin of its own pages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def client(self, who: str) -> httpx.Client:
        """A browser of a person: their credentials, and the origin of the server's own pages."""
        return httpx.Client(base_url=self.url, headers=self.credentials(who) | {"origin": self.origin}, timeout=30)


def freshness(_tenant_id: str) -> Freshness:
    """Everything is just published."""
    return Freshness(promotion_id=1, as_of=utc_now(), held=False, held_since=None)


@contextmanager
def ours(
    folder: Path,
    *,
    people: FakePeople | None = None,
    settings: NotebookSettings | None = None,
    freshness_of: Callable[[str], Freshness] = freshness,
    embeds: EmbedsDesk | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Target]:
    """Our server."""
    known = people or FakePeople()
    chosen = settings or NotebookSettings(port=0, keep_seconds=2)
    notebooks = read_catalog(folder)
    made: list[Application] = []

    def make(port: int) -> Application:
        made.append(
            Application(
                chosen,
                doors=doors(chosen, port),
                notebooks=notebooks,
                people=known,
                freshness_of=freshness_of,
                embeds=embeds,
                monotonic=monotonic,
                sweep_seconds=SWEEP_SECONDS,
            )
        )
        return made[0]

    tokens: dict[str, str] = {}

    def credentials(who: str) -> dict[str, str]:
        email = who if "@" in who else f"{who}@example.com"
        token = tokens.setdefault(email, known.signed_in(email).token)
        return {"cookie": f"workbench_sign_in={token}"}

    with ExitStack() as server:
        port = server.enter_context(serve(make, chosen))
        url = f"http://127.0.0.1:{port}"
        yield Target(url=url, credentials=credentials, people=known, app=made[0], stop=server.close)


@contextmanager
def bare(folder: Path) -> Iterator[Target]:
    """marimo as it comes, with who is asking taken from a header."""
    builder = marimo.create_asgi_app(quiet=True, include_code=False)
    for path in sorted(folder.glob("*.py")):
        builder = builder.with_app(path=f"/notebooks/{path.stem}", root=str(path))
    server = uvicorn.Server(
        uvicorn.Config(
            _KnownByHeader(builder.build()), log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1
        )
    )
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Target(url=url, credentials=lambda who: {TENANT_HEADER: who})
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class _KnownByHeader:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            tenant = dict(scope["headers"]).get(TENANT_HEADER.encode(), b"").decode()
            scope = dict(scope) | {"user": {"tenant_id": tenant}}
        await self._app(scope, receive, send)
