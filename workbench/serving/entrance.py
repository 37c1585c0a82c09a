"""Signing in and out, the account page: our own pages that change something."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.core import logs
from pipeline.core.errors import DatabaseUnavailable
from workbench.people.errors import PasswordRefused, SignInRefused, TooManyAttempts
from workbench.people.principal import Client
from workbench.serving.forms import Forms, StaleForm
from workbench.serving.metrics import Metrics
from workbench.serving.pages import Pages, to_sign_in
from workbench.serving.register import Register, Why
from workbench.serving.rules import safe_next
from workbench.serving.sweeping import Sweeper
from workbench.serving.visitors import Visitors

if TYPE_CHECKING:
    from starlette.requests import Request

    from workbench.people.principal import SignedIn
    from workbench.serving.port import People

AWAY = "The database does not answer. Please try again in a minute."
LONGEST_NOTE = 200

log = logging.getLogger(__name__)


class Entrance:
    """The routes of those pages."""

    def __init__(
        self,
        *,
        people: People,
        visitors: Visitors,
        pages: Pages,
        forms: Forms,
        register: Register,
        sweeper: Sweeper,
        metrics: Metrics,
        secure: bool,
        session_seconds: int,
        oidc_name: str | None,
    ) -> None:
        self._people = people
        self._visitors = visitors
        self._pages = pages
        self._forms = forms
        self._register = register
        self._sweeper = sweeper
        self._metrics = metrics
        self._secure = secure
        self._session_seconds = session_seconds
        self._oidc_name = oidc_name
        self.routes = [
            Route("/sign-in", self.show, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/close", self.close, methods=["POST"]),
            Route("/account", self.account, methods=["GET"]),
            Route("/account", self.change_password, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The sign-in page; who is signed in already goes on."""
        wanted = safe_next(request.query_params.get("next"))
        if await self._visitors.of(request.scope["headers"]) is not None:
            return RedirectResponse(wanted, status_code=303)
        said = "You are signed out." if "out" in request.query_params else None
        return self._door(request, wanted, said=said)

    async def sign_in(self, request: Request) -> Response:
        """Sign in with e-mail and password."""
        try:
            fields = await self._forms.read(request)
        except StaleForm as stale:
            return self._door(request, "/", problem=stale.detail, status=403)
        wanted, email = safe_next(fields.get("next")), fields.get("email", "")
        try:
            signed_in = await to_thread.run_sync(
                lambda: self._people.sign_in(email, fields.get("password", ""), client=client_of(request))
            )
        except SignInRefused as refused:
            self._metrics.signed_in("refused")
            response = self._door(request, wanted, email=email, problem=str(refused), status=401)
            if isinstance(refused, TooManyAttempts):
                response.status_code = 429
                response.headers["retry-after"] = str(refused.wait_seconds)
            return response
        except DatabaseUnavailable:
            return self._door(request, wanted, email=email, problem=AWAY, status=503)
        return await self.enter(request, signed_in, wanted)

    async def enter(self, request: Request, signed_in: SignedIn, wanted: str) -> Response:
        """Go on as somebody: the cookie, and an end to what was signed in before."""
        await self._leave(request, Why.SIGNED_OUT)
        self._metrics.signed_in("accepted")
        if signed_in.principal.tenant_id is not None:
            logs.bind(tenant_id=signed_in.principal.tenant_id)
        log.info("%s signed in", signed_in.principal.email)
        response = RedirectResponse(wanted, status_code=303)
        response.set_cookie(
            self._visitors.cookie,
            signed_in.token,
            max_age=self._session_seconds,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the sign-in, and every notebook that it has open."""
        await self._forms.read(request)
        await self._leave(request, Why.SIGNED_OUT)
        response = RedirectResponse("/sign-in?out", status_code=303)
        response.delete_cookie(self._visitors.cookie, secure=self._secure, httponly=True, samesite="lax")
        return response

    async def close(self, request: Request) -> Response:
        """End every notebook that this person has open, here or by another sign-in."""
        fields = await self._forms.read(request)
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is None:
            return to_sign_in(request)
        person = visitor.principal.user_id
        mine = [each for each in self._register.entries() if each.visit.visitor.principal.user_id == person]
        self._sweeper.end(mine, Why.CLOSED)
        return RedirectResponse(safe_next(fields.get("next")), status_code=303)

    async def account(self, request: Request) -> Response:
        """The account page."""
        return await self._account(request)

    async def change_password(self, request: Request) -> Response:
        """Change the password; other sign-ins of the person end."""
        fields = await self._forms.read(request)
        token = self._visitors.token(request.scope["headers"])
        if token is None:
            return to_sign_in(request)
        try:
            await to_thread.run_sync(
                self._people.change_password, token, fields.get("current", ""), fields.get("wanted", "")
            )
        except (SignInRefused, PasswordRefused) as refused:
            return await self._account(request, problem=str(refused), status=403)
        await self._sweeper.sweep()
        return await self._account(request, said="The password is changed.")

    async def _account(
        self, request: Request, *, problem: str | None = None, said: str | None = None, status: int = 200
    ) -> Response:
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is None:
            return to_sign_in(request)
        values = {"tenant": visitor.principal.tenant_id, "problem": problem, "said": said}
        return self._pages.page(request, "account", principal=visitor.principal, status=status, **values)

    async def _leave(self, request: Request, why: Why) -> None:
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is not None:
            await to_thread.run_sync(self._people.sign_out, visitor.token)
            self._sweeper.end(self._register.of(visitor.sign_in), why)

    def _door(
        self,
        request: Request,
        wanted: str,
        *,
        email: str = "",
        problem: str | None = None,
        said: str | None = None,
        status: int = 200,
    ) -> Response:
        values = {"next": wanted, "email": email, "problem": problem, "said": said, "oidc_name": self._oidc_name}
        return self._pages.page(request, "sign_in", principal=None, status=status, **values)


def client_of(request: Request) -> Client:
    """Where a sign-in comes from."""
    address = request.client.host if request.client is not None else None
    return Client(address=address, note=request.headers.get("user-agent", "")[:LONGEST_NOTE])
