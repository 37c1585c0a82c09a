"""Embed tokens for people who are signed in: `POST /embeds` and `POST /embeds/guest`, as the API answers them.

The tenant is the person's own; an admin names one in the address. Requests from foreign pages are refused before this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.embeds_desk import Caller, Embed, EmbedsDesk, GuestEmbed
from api.refusals import Refusal, json_response, refusal_response
from pipeline.core import logs
from workbench.serving.rules import TENANT
from workbench.serving.visitors import Visitors

Answer = Callable[[Request, Caller], Awaitable[Embed | GuestEmbed]]


class Embedding:
    """Answers people's pages, in JSON."""

    def __init__(self, *, desk: EmbedsDesk, visitors: Visitors) -> None:
        self._desk = desk
        self._visitors = visitors

    @property
    def routes(self) -> list[Route]:
        """Both paths."""
        return [
            Route("/embeds", self.post_embed, methods=["POST"]),
            Route("/embeds/guest", self.post_guest, methods=["POST"]),
        ]

    async def post_embed(self, request: Request) -> Response:
        """A token and an address for a frame."""
        return await self._answer(request, self._desk.embed)

    async def post_guest(self, request: Request) -> Response:
        """A token for Metabase's component."""
        return await self._answer(request, self._desk.guest)

    async def _answer(self, request: Request, answer: Answer) -> Response:
        try:
            return json_response(await answer(request, await self._caller(request)))
        except Refusal as refusal:
            return refusal_response(refusal)

    async def _caller(self, request: Request) -> Caller:
        """Who is signed in, for which tenant. Raises Refusal."""
        visitor = await self._visitors.of(request.scope["headers"])
        if visitor is None:
            raise Refusal(401, "unauthorized", "Nobody is signed in.")
        person, chosen = visitor.principal, request.query_params.getlist(TENANT)
        if person.role == "analyst":
            chosen = chosen or [person.tenant_id or ""]
            may = chosen == [person.tenant_id]
        else:
            may = person.role == "admin"
        if not may:
            raise Refusal(403, "not_yours", "These figures are not yours.")
        if len(chosen) != 1 or not await self._visitors.may_be_read(chosen[0]):
            raise Refusal(404, "unknown_tenant", f"Name one active tenant in the address: ?{TENANT}=.")
        logs.bind(tenant_id=chosen[0])
        return Caller(tenant_id=chosen[0], actor=person.email)
