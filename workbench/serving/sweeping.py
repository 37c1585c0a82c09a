"""Ending what must not stay open: unused notebooks, and those whose sign-in or tenant has ended."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from pipeline.core.errors import DatabaseUnavailable
from workbench.serving.metrics import Metrics
from workbench.serving.register import Entry, Register, Why
from workbench.serving.visitors import Visitors

log = logging.getLogger(__name__)


class Sweeper:
    """Looks through the register every few seconds, for as long as the server runs."""

    def __init__(
        self, register: Register, visitors: Visitors, metrics: Metrics, *, idle_seconds: float, every_seconds: float
    ) -> None:
        self._register = register
        self._visitors = visitors
        self._metrics = metrics
        self._idle_seconds = idle_seconds
        self._every_seconds = every_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop."""
        while not stop.is_set():
            try:
                await self.sweep()
            except DatabaseUnavailable as error:
                # Whoever cannot be asked about reads nothing meanwhile: it is the database that notebooks read.
                log.warning("cannot tell whose sign-in has ended: %s", error.message)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_seconds)

    async def sweep(self) -> None:
        """Look once."""
        self.end(self._register.idle(self._idle_seconds), Why.IDLE)
        entries = self._register.entries()
        for token in {entry.visit.visitor.token for entry in entries}:
            mine = [entry for entry in entries if entry.visit.visitor.token == token]
            if await self._visitors.still(token) != mine[0].visit.visitor.principal:
                self.end(mine, Why.EXPIRED)
        for tenant_id in {entry.visit.tenant_id for entry in entries} - {None}:
            if tenant_id is not None and not await self._visitors.may_be_read(tenant_id):
                self.end([entry for entry in entries if entry.visit.tenant_id == tenant_id], Why.EXPIRED)

    def end(self, entries: list[Entry], why: Why) -> int:
        """End these at once; how many there were."""
        ended = self._register.end(entries, why)
        if ended:
            log.info("ended %d notebooks: %s", ended, why.value)
            self._metrics.ended(why.value, ended)
        return ended
