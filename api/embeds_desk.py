"""What the endpoints of embedding answer, once it is known who asks: the API tells by a key, others by a sign-in.

A body names a dashboard, and only one that was applied as embedded; whatever else a browser made it carry decides
nothing. Tokens are made in threads of their own, so many for a tenant in a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from api.embeds_body import read_json
from api.refusals import Refusal
from api.tokens import Broker, Dashboards, EmbedToken, Wish
from api.turns import Turns
from pipeline.core.errors import (
    DatabaseUnavailable,
    EmbedsNotSetUp,
    NothingPublished,
    TenantError,
    UnknownDashboard,
)
from pipeline.core.metabase import LEAST_TOKEN_SECONDS, MetabaseSettings

AT_ONCE = 4
"""Tokens that are made at the same time, half of them for one tenant: connections to have for them."""
WAITING = 256
OF_ONE_TENANT = 64
"""Tokens that are made or waited for."""

Theme = Literal["light", "dark"]
THEMES: dict[Theme, str] = {"light": "", "dark": "&theme=night"}
APPEARANCE = "#bordered=false&titled=true"

Answer = TypeVar("Answer")


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /v1/embeds."""

    dashboard: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    theme: Theme = "light"
    seconds: Annotated[int, msgspec.Meta(ge=LEAST_TOKEN_SECONDS)] | None = None


class GuestAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What Metabase's component sends. Its `customContext` comes from a browser: it is not looked at."""

    entity_type: str = msgspec.field(name="entityType")
    entity_id: int | Annotated[str, msgspec.Meta(max_length=63)] = msgspec.field(name="entityId")


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard to be shown, and of which state its figures are."""

    dashboard: str
    token: str
    url: str
    expires_at: datetime
    as_of: datetime | None
    held: bool


class GuestEmbed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that Metabase's component waits for."""

    jwt: str


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, for whose figures; both are known for certain, and nothing of them from the request's body."""

    tenant_id: str
    actor: str
    """For the audit log."""


class EmbedsDesk:
    """Answers requests of callers, with everything that it works with."""

    def __init__(self, broker: Broker, settings: MetabaseSettings) -> None:
        self.token_seconds = settings.token_seconds
        self._broker = broker
        self._a_minute = RateLimitItemPerMinute(settings.tokens_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="embeds")
        self._turns = Turns(at_once=AT_ONCE // 2, of_one=OF_ONE_TENANT, of_all=WAITING)

    async def dashboards(self, caller: Caller) -> Dashboards:
        """What may be embedded. Raises Refusal."""
        return await self._ask(caller, self._broker.dashboards)

    async def embed(self, request: Request, caller: Caller) -> Embed:
        """A token and an address for a frame. Raises Refusal."""
        asked = await read_json(request, Asked, expected=self._expected)
        seconds = asked.seconds or self.token_seconds
        if seconds > self.token_seconds:
            raise Refusal(400, "invalid_request", self._expected)
        made = await self._issue(caller, asked.dashboard, seconds)
        return Embed(
            dashboard=made.dashboard,
            token=made.token,
            url=address_of(made, theme=asked.theme),
            expires_at=made.expires_at,
            as_of=made.as_of,
            held=made.held,
        )

    async def guest(self, request: Request, caller: Caller) -> GuestEmbed:
        """A token for Metabase's component. Raises Refusal."""
        expected = "Send what Metabase's component sends: entityType (dashboard) and entityId (a number)."
        asked = await read_json(request, GuestAsked, expected=expected)
        if asked.entity_type != "dashboard":
            raise Refusal(400, "invalid_request", expected)
        made = await self._issue(caller, _named(asked.entity_id), self.token_seconds)
        return GuestEmbed(jwt=made.token)

    @property
    def _expected(self) -> str:
        return (
            f"Send a JSON object with dashboard (its slug) and, if you like, theme ({' or '.join(THEMES)}) and "
            f"seconds ({LEAST_TOKEN_SECONDS} to {self.token_seconds})."
        )

    async def _issue(self, caller: Caller, dashboard: str | int, seconds: int) -> EmbedToken:
        if not self._limiter.hit(self._a_minute, caller.tenant_id):
            raise Refusal(429, "too_many_tokens", f"A tenant gets {self._a_minute.amount} tokens a minute.")
        wish = Wish(tenant_id=caller.tenant_id, dashboard=dashboard, seconds=seconds, actor=caller.actor)
        return await self._ask(caller, lambda: self._broker.issue(wish))

    async def _ask(self, caller: Caller, ask: Callable[[], Answer]) -> Answer:
        """Ask the broker, in a thread and in the tenant's turn. Raises Refusal."""
        try:
            async with self._turns.take(caller.tenant_id):
                return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except UnknownDashboard as error:
            raise Refusal(404, "unknown_dashboard", error.message, details={"dashboards": error.known}) from error
        except TenantError as error:
            raise Refusal(403, "tenant_suspended", "The tenant is suspended.") from error
        except NothingPublished as error:
            raise Refusal(409, "nothing_published", error.message) from error
        except EmbedsNotSetUp as error:
            raise Refusal(503, "not_set_up", str(error)) from error
        except DatabaseUnavailable as error:
            raise Refusal(503, "unavailable", "Embed tokens cannot be made now.") from error


def address_of(made: EmbedToken, *, theme: Theme = "light") -> str:
    """The address of a frame; how it looks is no secret, and stands where browsers do not send it."""
    return f"{made.instance_url}/embed/dashboard/{made.token}{APPEARANCE}{THEMES[theme]}"


def _named(entity_id: int | str) -> int | str:
    """How a page names a dashboard: an attribute in HTML makes a text of its id."""
    is_number = isinstance(entity_id, str) and entity_id.isascii() and entity_id.isdecimal()
    return int(entity_id) if is_number else entity_id
