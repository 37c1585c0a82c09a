"""POST /v1/embeds, POST /v1/embeds/guest and GET /v1/dashboards: dashboards of the tenant whose key it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.authentication import Authenticator
from api.embeds_desk import Caller, EmbedsDesk
from api.embeds_openapi import dashboards_operation, embed_operation, guest_operation
from api.refusals import json_response

PRIVATE = {"Cache-Control": "no-store", "Vary": "Authorization"}
PATHS = frozenset({"/v1/dashboards", "/v1/embeds", "/v1/embeds/guest"})


class Embeds:
    """The endpoints. Who asks is told by the key alone."""

    def __init__(self, *, desk: EmbedsDesk, authenticator: Authenticator) -> None:
        self._desk = desk
        self._authenticator = authenticator

    def routes(self) -> APIRouter:
        """All paths of PATHS."""
        router = APIRouter(tags=["embeds"])
        get: dict[str, Any] = {"methods": ["GET"], "response_model": None}
        post: dict[str, Any] = {"methods": ["POST"], "response_model": None}
        router.add_api_route("/v1/dashboards", self.get_dashboards, **get, **dashboards_operation())
        router.add_api_route("/v1/embeds", self.post_embed, **post, **embed_operation(self._desk.token_seconds))
        router.add_api_route("/v1/embeds/guest", self.post_guest, **post, **guest_operation())
        return router

    async def get_dashboards(self, request: Request) -> Response:
        """What may be embedded. Raises Refusal."""
        return json_response(await self._desk.dashboards(await self._caller(request)), headers=PRIVATE)

    async def post_embed(self, request: Request) -> Response:
        """A token and an address for a frame. Raises Refusal."""
        return json_response(await self._desk.embed(request, await self._caller(request)), headers=PRIVATE)

    async def post_guest(self, request: Request) -> Response:
        """A token for Metabase's component. Raises Refusal."""
        return json_response(await self._desk.guest(request, await self._caller(request)), headers=PRIVATE)

    async def _caller(self, request: Request) -> Caller:
        grant = await self._authenticator.authorize(request, "read")
        return Caller(tenant_id=grant.tenant_id, actor=f"api key {grant.key_id}")
