"""The fake Metabase on a socket, and what tests may do to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.metabase import access, content, databases, embedding
from tests.fakes.metabase.store import Refused, Store, found

Handler = Callable[["FakeMetabase", Request, Any], Any]
WRITES = ("POST", "PUT", "DELETE")
CRASHED = "the process ended before it could answer"


class FakeMetabase:
    """A Metabase; `store` is what it keeps, `writes` counts what changed that."""

    def __init__(self) -> None:
        self.url = ""
        self.store = Store()
        self.writes = 0
        self.requests: list[str] = []
        self.crashes_after: int | None = None
        """After so many more writes it is gone, the last of them done and not answered."""
        self.initializing = 0
        """So many more answers are that it is still starting."""
        self._lock = threading.RLock()

    def add_user(self, email: str, password: str, *, is_superuser: bool = False) -> None:
        """Make somebody, beside the setup."""
        access.add_user(self.store, email, password, is_superuser=is_superuser)

    async def answer(self, request: Request, handler: Handler, *, is_open: bool) -> Response:
        """What a handler answers, or what keeps it from being asked."""
        body = await _body(request)
        return await run_in_threadpool(self._answer, request, handler, body, is_open=is_open)

    def _answer(self, request: Request, handler: Handler, body: Any, *, is_open: bool) -> Response:
        with self._lock:
            self.requests.append(f"{request.method} {request.url.path}")
            if self.crashes_after == 0:
                return PlainTextResponse(CRASHED, 500)
            if self.initializing:
                self.initializing -= 1
                return JSONResponse({"status": "initializing", "progress": 0.4}, 503)
            try:
                if not is_open:
                    access.require_superuser(self.store, request.headers.get("X-Metabase-Session"))
                told = handler(self, request, body)
            except Refused as refused:
                return _refusal(refused)
            if request.method in WRITES and request.url.path != "/api/session":
                self.writes += 1
                if self.crashes_after is not None:
                    self.crashes_after -= 1
                    if self.crashes_after == 0:
                        return PlainTextResponse(CRASHED, 500)
            return Response(status_code=204) if told is None else JSONResponse(told, _status(request))


@contextmanager
def running_metabase() -> Iterator[FakeMetabase]:
    """A new one, on a free port."""
    fake = FakeMetabase()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(_app(fake), log_level="warning", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield fake
        server.should_exit = True
        thread.join(timeout=10)


def _number(request: Request) -> int:
    return int(request.path_params["id"])


def _items(fake: FakeMetabase, request: Request, _: Any) -> Any:
    where = request.path_params["id"]
    return content.items(fake.store, None if where == "root" else int(where), request.query_params.getlist("models"))


def _write_setting(fake: FakeMetabase, request: Request, body: Any) -> None:
    fake.store.write_setting(request.path_params["key"], body.get("value"))


def _healthcheck(fake: FakeMetabase, request: Request, _: Any) -> Any:
    try:
        databases.require_connection(fake.store.databases[_number(request)]["details"])
    except Refused as refused:
        return {"status": "error", "message": str(refused.body)}
    return {"status": "ok"}


def _card(fake: FakeMetabase, request: Request, _: Any) -> Any:
    legacy = fake.store.answers_older_shape and request.query_params.get("legacy-mbql") == "true"
    return content.told_card(found(fake.store.cards, _number(request)), legacy=legacy)


def _published(documents: dict[int, Any]) -> list[Any]:
    kept = (each for each in documents.values() if each["enable_embedding"] and not each["archived"])
    return [{"id": each["id"], "name": each["name"]} for each in kept]


def _answer_card(fake: FakeMetabase, request: Request, _: Any) -> Any:
    path = request.path_params
    given = dict(request.query_params)
    if "parameters" in given:
        given = json.loads(given["parameters"])
    return embedding.answer(fake.store, path["token"], int(path["dashcard"]), int(path["card"]), given)


def _session(request: Request) -> str | None:
    return request.headers.get("X-Metabase-Session")


OPEN: dict[tuple[str, str], Handler] = {
    ("GET", "/api/health"): lambda *_: {"status": "ok"},
    ("GET", "/api/session/properties"): lambda fake, request, _: access.properties(fake.store, _session(request)),
    ("POST", "/api/setup"): lambda fake, _, body: access.set_up(fake.store, body),
    ("POST", "/api/session"): lambda fake, _, body: access.sign_in(fake.store, body),
    ("GET", "/api/embed/dashboard/{token}"): lambda fake, request, _: embedding.shown(
        fake.store, request.path_params["token"]
    ),
    ("GET", "/api/embed/dashboard/{token}/dashcard/{dashcard:int}/card/{card:int}"): _answer_card,
}
CLOSED: dict[tuple[str, str], Handler] = {
    ("GET", "/api/setting"): lambda fake, *_: fake.store.listed_settings(),
    ("PUT", "/api/setting/{key}"): _write_setting,
    ("GET", "/api/database"): lambda fake, *_: {
        "data": [databases.told_database(each) for each in fake.store.databases.values()]
    },
    ("POST", "/api/database"): lambda fake, _, body: databases.make_database(fake.store, body),
    ("GET", "/api/database/{id:int}"): lambda fake, request, _: databases.told_database(
        found(fake.store.databases, _number(request))
    ),
    ("GET", "/api/database/{id:int}/healthcheck"): _healthcheck,
    ("PUT", "/api/database/{id:int}"): lambda fake, request, body: databases.change_database(
        fake.store, _number(request), body
    ),
    ("POST", "/api/collection"): lambda fake, _, body: content.make_collection(fake.store, body),
    ("GET", "/api/collection/{id}/items"): _items,
    ("GET", "/api/collection/{id:int}"): lambda fake, request, _: found(fake.store.collections, _number(request)),
    ("PUT", "/api/collection/{id:int}"): lambda fake, request, body: content.change_collection(
        fake.store, _number(request), body
    ),
    ("GET", "/api/card/embeddable"): lambda fake, *_: _published(fake.store.cards),
    ("POST", "/api/card"): lambda fake, _, body: content.make_card(fake.store, body),
    ("GET", "/api/card/{id:int}"): _card,
    ("PUT", "/api/card/{id:int}"): lambda fake, request, body: content.change_card(fake.store, _number(request), body),
    ("GET", "/api/dashboard/embeddable"): lambda fake, *_: _published(fake.store.dashboards),
    ("POST", "/api/dashboard"): lambda fake, _, body: content.make_dashboard(fake.store, body),
    ("GET", "/api/dashboard/{id:int}"): lambda fake, request, _: content.told_dashboard(
        fake.store, found(fake.store.dashboards, _number(request))
    ),
    ("PUT", "/api/dashboard/{id:int}"): lambda fake, request, body: content.change_dashboard(
        fake.store, _number(request), body
    ),
}


def _app(fake: FakeMetabase) -> Starlette:
    return Starlette(
        routes=[
            Route(path, _endpoint(fake, handler, is_open=handlers is OPEN), methods=[method])
            for handlers in (OPEN, CLOSED)
            for (method, path), handler in handlers.items()
        ]
    )


def _endpoint(fake: FakeMetabase, handler: Handler, *, is_open: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await fake.answer(request, handler, is_open=is_open)

    return endpoint


async def _body(request: Request) -> Any:
    sent = await request.body()
    return json.loads(sent) if sent else {}


def _status(request: Request) -> int:
    return 202 if request.url.path.startswith("/api/embed/") and "/card/" in request.url.path else 200


def _refusal(refused: Refused) -> Response:
    if isinstance(refused.body, str):
        return PlainTextResponse(refused.body, refused.status)
    return JSONResponse(refused.body, refused.status)
