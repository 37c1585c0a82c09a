"""Whose turn it is: a few of each tenant at a time, a bounded number of others wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.refusals import Refusal


class Turns:
    """Hands turns out, on one event loop: `at_once` to a tenant.

    `of_one` requests of a tenant may have a turn or wait for it, and `of_all` of all tenants.
    """

    def __init__(self, *, at_once: int, of_one: int, of_all: int) -> None:
        self._at_once = at_once
        self._of_one = of_one
        self._of_all = of_all
        self._taken: dict[str, int] = {}
        self._gates: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def take(self, tenant_id: str) -> AsyncIterator[None]:
        """Wait for a turn of the tenant's, and have it until the block ends. Raises Refusal with 429 or 503."""
        mine = self._taken.get(tenant_id, 0)
        if mine >= self._of_one:
            raise Refusal(429, "too_many_requests", f"{mine} requests of this tenant wait already.")
        if sum(self._taken.values()) >= self._of_all:
            raise Refusal(503, "overloaded", "Too many requests wait already.")
        self._taken[tenant_id] = mine + 1
        gate = self._gates.setdefault(tenant_id, asyncio.Semaphore(self._at_once))
        try:
            async with gate:
                yield
        finally:
            self._taken[tenant_id] -= 1
            if not self._taken[tenant_id]:
                del self._taken[tenant_id], self._gates[tenant_id]
