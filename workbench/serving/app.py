"""The notebook server's application: everything wired, and the first look at each request. Pure ASGI."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipeline.core.clock import Clock, utc_now
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.notebooks import NotebookSettings
from workbench.serving import rules
from workbench.serving.binding import Ids
from workbench.serving.catalog import Notebook
from workbench.serving.embedding import Embedding
from workbench.serving.entrance import AWAY, Entrance
from workbench.serving.forms import Forms
from workbench.serving.guard import Guard
from workbench.serving.headers import OWN_PAGES, secured
from workbench.serving.home import Home
from workbench.serving.kernels import STATIC, STATIC_URL, Kernels
from workbench.serving.metrics import Metrics
from workbench.serving.oidc import Oidc, Provider
from workbench.serving.oidc_entrance import CALLBACK, OidcEntrance
from workbench.serving.origins import Doors, header
from workbench.serving.pages import FOLDER, Pages, to_sign_in, wants_page
from workbench.serving.register import Caps, Register, Why
from workbench.serving.sweeping import Sweeper
from workbench.serving.visitors import Visitors

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.embeds_desk import EmbedsDesk
    from workbench.serving.port import FreshnessOf, People

HEALTH = "/healthz"
SWEEP_SECONDS = 5.0
FOREVER = "public, max-age=31536000, immutable"
TEXTS = {
    Why.USER_IS_FULL.value: "You have as many notebooks open as one person may. Close a few, or try again: "
    "one whose tab is gone makes room by itself.",
    Why.TENANT_IS_FULL.value: "Your company has as many notebooks open as it may. Try again in a while.",
    Why.SERVER_IS_FULL.value: "As many notebooks are open as this server carries. Try again in a while.",
}

log = logging.getLogger(__name__)


class Application:
    """The whole server as one ASGI application."""

    def __init__(
        self,
        settings: NotebookSettings,
        *,
        doors: Doors,
        notebooks: Sequence[Notebook],
        people: People,
        freshness_of: FreshnessOf,
        embeds: EmbedsDesk | None = None,
        metrics: Metrics | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._doors = doors
        self._notebooks = {each.name: each for each in notebooks}
        self._metrics = metrics or Metrics()
        self.kernels = Kernels(notebooks, keep_seconds=settings.keep_seconds)
        ids = Ids(secrets.token_bytes(32))
        caps = Caps(user=settings.sessions_per_user, tenant=settings.sessions_per_tenant, server=settings.sessions)
        self._register = Register(self.kernels, caps, monotonic)
        self._visitors = Visitors(people, ids, secure=doors.secure)
        forms = Forms(ids, secure=doors.secure)
        self._pages = Pages(forms, clock)
        idle_seconds = settings.idle_minutes * 60.0
        self._sweeper = Sweeper(
            self._register, self._visitors, self._metrics, idle_seconds=idle_seconds, every_seconds=sweep_seconds
        )
        self._metrics.watch_sessions(kernels=self.kernels.count, connected=lambda: self._register.lines)
        self._guard = Guard(
            self.kernels.app,
            notebooks=self._notebooks,
            doors=doors,
            visitors=self._visitors,
            ids=ids,
            register=self._register,
            owner_of_file=self.kernels.files.owner,
            refused=self._metrics.refused,
        )
        entrance = Entrance(
            people=people,
            visitors=self._visitors,
            pages=self._pages,
            forms=forms,
            register=self._register,
            sweeper=self._sweeper,
            metrics=self._metrics,
            secure=doors.secure,
            session_seconds=settings.session_hours * 3600,
            oidc_name=settings.oidc_name if settings.oidc_issuer else None,
        )
        home = Home(
            notebooks=notebooks, people=people, visitors=self._visitors, pages=self._pages, freshness_of=freshness_of
        )
        self._oidc = _oidc(settings, doors)
        routes = [Route("/", home.show, methods=["GET"]), *entrance.routes, *_static_routes()]
        if embeds is not None:
            routes += Embedding(desk=embeds, visitors=self._visitors).routes
        if self._oidc is not None:
            more = OidcEntrance(
                oidc=self._oidc,
                entrance=entrance,
                people=people,
                pages=self._pages,
                metrics=self._metrics,
                secure=doors.secure,
            )
            routes += more.routes
        handlers = {HTTPException: self._answer_http, DatabaseUnavailable: self._answer_away}
        self._own = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._own(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["path"] == HEALTH:
            await PlainTextResponse("ok\n")(scope, receive, send)
        else:
            await self._http(scope, receive, self._securing(scope, send))

    async def shutdown(self) -> None:
        """Tell browsers that the server ends, and end all notebooks."""
        self._sweeper.end(self._register.entries(), Why.SHUTDOWN)
        await self.kernels.shutdown()
        if self._oidc is not None:
            await self._oidc.close()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._require_our_page(scope)
            if rules.place(scope["path"]) is None:
                await self._own(scope, receive, send)
                return
            name, within = rules.place(scope["path"]) or ("", "")
            if within == "" and scope["method"] in ("GET", "HEAD") and name in self._notebooks:
                query = scope["query_string"].decode("latin-1")
                there = f"{rules.PREFIX}{name}/" + (f"?{query}" if query else "")
                await Response(status_code=308, headers={"location": there})(scope, receive, send)
                return
            await self._guard.http(scope, receive, send)
        except HTTPException as error:
            self._metrics.refused("request")
            await (await self._refusal(request, error))(scope, receive, send)
        except DatabaseUnavailable as error:
            await self._answer_away(request, error)(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            ours = self._doors.lets_host_in(header(scope["headers"], b"host"))
        except ValueError:
            ours = False
        if not ours:
            self._metrics.refused("host")
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._guard.socket(scope, receive, send)

    def _require_our_page(self, scope: Scope) -> None:
        """Raise HTTPException unless the request names our host and, where it may change something, our page."""
        try:
            host, origin = header(scope["headers"], b"host"), header(scope["headers"], b"origin")
            site = header(scope["headers"], b"sec-fetch-site")
        except ValueError as error:
            raise HTTPException(400, "A header is there twice.") from error
        if not self._doors.lets_host_in(host):
            self._metrics.refused("host")
            raise HTTPException(421, "This server has another name.")
        if scope["method"] not in ("GET", "HEAD") and not self._doors.lets_post_in(origin, site):
            self._metrics.refused("origin")
            raise HTTPException(403, "This came from a page of another site.")

    async def _refusal(self, request: Request, error: HTTPException) -> Response:
        if error.status_code == 401 and wants_page(request):
            return to_sign_in(request)
        if error.status_code != 429:
            return self._pages.notice(request, error.status_code, error.detail)
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is None:
            return to_sign_in(request)
        person = visitor.principal.user_id
        mine = [each.visit for each in self._register.entries() if each.visit.visitor.principal.user_id == person]
        shown = [{"title": self._notebooks[each.notebook].title, "tenant": each.tenant_id} for each in mine]
        again = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        text = TEXTS.get(error.detail, error.detail)
        return self._pages.notice(request, 429, text, principal=visitor.principal, open=shown, again=again)

    def _answer_http(self, request: Request, error: HTTPException) -> Response:
        text = "There is nothing at this address." if error.status_code == 404 else error.detail
        return self._pages.notice(request, error.status_code, text)

    def _answer_away(self, request: Request, _error: DatabaseUnavailable) -> Response:
        return self._pages.notice(request, 503, AWAY, again=str(request.url.path))

    def _securing(self, scope: Scope, send: Send) -> Send:
        """Our own pages' headers, for what is not a notebook's."""
        if rules.place(scope["path"]) is not None and scope["method"] != "GET":
            return send
        static = scope["path"].startswith(STATIC_URL)

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start" and not _has_policy(message):
                cache = FOREVER if static and message["status"] == 200 else None if static else "no-store"
                headers = secured(message.get("headers", []), policy=OWN_PAGES, secure=self._doors.secure, cache=cache)
                message = {**message, "headers": headers}
            await send(message)

        return out

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        stop = asyncio.Event()
        sweeping = asyncio.create_task(self._sweeper.run(stop))
        try:
            yield
        finally:
            stop.set()
            await sweeping
            await self.shutdown()


def _has_policy(message: Message) -> bool:
    return any(name.lower() == b"content-security-policy" for name, _ in message.get("headers", []))


def _oidc(settings: NotebookSettings, doors: Doors) -> Oidc | None:
    if not settings.oidc_issuer or not settings.oidc_client_id or not settings.oidc_client_secret:
        return None
    provider = Provider(
        issuer=settings.oidc_issuer, client_id=settings.oidc_client_id, client_secret=settings.oidc_client_secret
    )
    return Oidc(provider, redirect_uri=doors.url + CALLBACK)


def _static_routes() -> list[Route | Mount]:
    def file(path: Path) -> ASGIApp:
        async def answer(_request: Request) -> Response:
            return FileResponse(path)

        return answer  # type: ignore[return-value]

    return [
        Route("/style.css", file(FOLDER / "style.css"), methods=["GET"]),
        Route("/mark.svg", file(FOLDER / "mark.svg"), methods=["GET"]),
        Mount(STATIC_URL, StaticFiles(directory=STATIC)),
    ]
