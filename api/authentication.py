"""Who is asking: exactly one bearer key, turned into a grant.

Every cause of a 401 gets the same body, and the key goes into no message, log or metric. What a
grant allows is checked here too; how keys are made and stored is `pipeline/core/keys.py`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import TypeVar

import msgspec
from starlette.requests import Request

from api.refusals import Refusal
from pipeline.core import logs, tracing
from pipeline.core.errors import ApiKeyError, DatabaseUnavailable
from pipeline.core.keys import Grant, KeyVerifier

REVOCATION_SECONDS = 5.0
"""A key that is revoked, or whose tenant is suspended, is refused from this long after, at the latest."""
UNKNOWN_SECONDS = 1.0
"""How long a key that was not valid is refused without another look."""
STALE_SECONDS = 3_600.0
"""While the database is away, a key that was valid opens what it opened for as long."""
PATIENCE_SECONDS = 0.5
"""So long is waited for a new answer where an earlier one can stand in for it."""
LONGEST_SECONDS = 10.0
"""So long is waited for an answer where none can."""
LOOKUPS = 4
"""Threads that look keys up: of their own, since a database that is silent holds all of them."""
CACHED_KEYS = 10_000
KEY_LENGTH = 256

T = TypeVar("T")


class _Lookup(msgspec.Struct, frozen=True):
    asked_at: float
    answer: asyncio.Future[Grant | None]


class _Known(msgspec.Struct, frozen=True):
    asked_at: float
    grant: Grant


class Authenticator:
    """Looks keys up in threads and remembers the answers for a few seconds.

    Requests with the same key wait for one lookup. Memory is bounded: beyond CACHED_KEYS the oldest
    lookup goes, and likewise the oldest grant, so that keys nobody has cannot displace valid ones.
    Keys are remembered as digests, so that none lies in memory for longer than its request.
    """

    def __init__(self, keys: KeyVerifier, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._lookups: dict[bytes, _Lookup] = {}
        self._granted: dict[bytes, _Known] = {}
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="keys")

    async def authorize(self, request: Request, scope: str) -> Grant:
        """The grant of the request's key. Raises Refusal with 401, 403 or 503.

        From then on log lines and the span of the request tell the tenant.
        """
        grant = await self._grant(_presented_key(request))
        if grant is None:
            raise _unauthorized()
        logs.bind(tenant_id=grant.tenant_id)
        tracing.annotate(tenant_id=grant.tenant_id)
        if grant.suspended:
            raise Refusal(403, "tenant_suspended", "The tenant of this key is suspended.")
        if scope not in grant.scopes:
            raise Refusal(403, "missing_scope", f"This key does not have the scope {scope!r}.")
        return grant

    async def _grant(self, presented: str) -> Grant | None:
        digest = blake2b(presented.encode(), digest_size=16).digest()
        now = self._monotonic()
        lookup = self._lookups.get(digest)
        if lookup is None or now - lookup.asked_at >= _lifetime(lookup.answer):
            lookup = self._look_up(digest, presented, now)
        known = self._granted.get(digest)
        earlier = known.grant if known is not None and now - known.asked_at < STALE_SECONDS else None
        if earlier is not None and not lookup.answer.done() and now - lookup.asked_at >= PATIENCE_SECONDS:
            return earlier
        try:
            async with asyncio.timeout(LONGEST_SECONDS if earlier is None else PATIENCE_SECONDS):
                return await asyncio.shield(lookup.answer)
        except (DatabaseUnavailable, TimeoutError) as error:
            if earlier is not None:
                return earlier
            raise Refusal(503, "unavailable", "API keys cannot be verified now. Nothing was stored.") from error

    def _look_up(self, digest: bytes, presented: str, now: float) -> _Lookup:
        answer = asyncio.get_running_loop().run_in_executor(self._threads, self._verify, presented)
        answer.add_done_callback(lambda done: self._learn(digest, now, done))
        lookup = _Lookup(now, answer)
        _put(self._lookups, digest, lookup)
        return lookup

    def _learn(self, digest: bytes, asked_at: float, answer: asyncio.Future[Grant | None]) -> None:
        """Remember a grant for when the database is away, and forget one that was withdrawn."""
        if answer.cancelled() or answer.exception() is not None:
            return
        grant = answer.result()
        if grant is None:
            self._granted.pop(digest, None)
        else:
            _put(self._granted, digest, _Known(asked_at, grant))

    def _verify(self, presented: str) -> Grant | None:
        try:
            return self._keys.verify(presented)
        except ApiKeyError:
            return None


def _put(entries: dict[bytes, T], digest: bytes, entry: T) -> None:
    """Put it last; beyond the bound the first one goes."""
    entries.pop(digest, None)
    if len(entries) >= CACHED_KEYS:
        del entries[next(iter(entries))]
    entries[digest] = entry


def _lifetime(answer: asyncio.Future[Grant | None]) -> float:
    """Seconds from its start for which a lookup is used again; a failed one is not, one under way always."""
    if not answer.done():
        return math.inf
    if answer.cancelled() or answer.exception() is not None:
        return 0
    return UNKNOWN_SECONDS if answer.result() is None else REVOCATION_SECONDS


def _presented_key(request: Request) -> str:
    values = request.headers.getlist("authorization")
    scheme, _, presented = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    presented = presented.strip()
    if scheme.lower() != "bearer" or not 0 < len(presented) <= KEY_LENGTH:
        raise _unauthorized()
    return presented


def _unauthorized() -> Refusal:
    return Refusal(
        401,
        "unauthorized",
        "Exactly one header 'Authorization: Bearer <key>' with a valid API key is needed.",
        headers={"WWW-Authenticate": "Bearer"},
    )
