"""The two routes of a sign-in with a provider: away to it, and back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.core.errors import DatabaseUnavailable
from workbench.people.errors import SignInRefused
from workbench.serving.entrance import AWAY, Entrance, client_of
from workbench.serving.metrics import Metrics
from workbench.serving.oidc import FLOW_SECONDS, Flows, Oidc, OidcError
from workbench.serving.pages import Pages
from workbench.serving.rules import safe_next
from workbench.serving.visitors import cookie_name, cookies

if TYPE_CHECKING:
    from starlette.requests import Request

    from workbench.serving.port import People

COOKIE = "workbench_oidc"
CALLBACK = "/oidc/callback"

log = logging.getLogger(__name__)


class OidcEntrance:
    """The routes."""

    def __init__(
        self, *, oidc: Oidc, entrance: Entrance, people: People, pages: Pages, metrics: Metrics, secure: bool
    ) -> None:
        self._oidc = oidc
        self._entrance = entrance
        self._people = people
        self._pages = pages
        self._metrics = metrics
        self._secure = secure
        self._flows = Flows()
        self._cookie = cookie_name(COOKIE, secure=secure)
        self.routes = [
            Route("/oidc/start", self.start, methods=["GET"]),
            Route(CALLBACK, self.callback, methods=["GET"]),
        ]

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider."""
        flow_id, flow = self._flows.begin(safe_next(request.query_params.get("next")))
        try:
            address = await self._oidc.authorization_url(flow)
        except OidcError as error:
            return self._failed(request, error)
        response = RedirectResponse(address, status_code=303)
        # Lax: the provider's page leads back here, which is a way from another site.
        response.set_cookie(
            self._cookie, flow_id, max_age=FLOW_SECONDS, secure=self._secure, httponly=True, samesite="lax"
        )
        return response

    async def callback(self, request: Request) -> Response:
        """Take the provider's answer."""
        flow_id = next(iter(cookies(request.scope["headers"], self._cookie)), None)
        try:
            flow = self._flows.take(flow_id, request.query_params.get("state"))
            identity = await self._oidc.identity(flow, request.query_params)
            signed_in = await to_thread.run_sync(
                lambda: self._people.sign_in_by_identity(identity, client=client_of(request))
            )
        except OidcError as error:
            response = self._failed(request, error)
        except SignInRefused as refused:
            self._metrics.signed_in("refused")
            response = self._pages.notice(request, 403, str(refused), again="/sign-in")
        except DatabaseUnavailable:
            response = self._pages.notice(request, 503, AWAY, again="/sign-in")
        else:
            response = await self._entrance.enter(request, signed_in, flow.next)
        response.delete_cookie(self._cookie, secure=self._secure, httponly=True, samesite="lax")
        return response

    def _failed(self, request: Request, error: OidcError) -> Response:
        log.warning("a sign-in with the provider failed: %s %s", error.message, error.__cause__ or "")
        self._metrics.signed_in("failed")
        return self._pages.notice(request, 400, f"{error.message} Please begin again.", again="/sign-in")
