"""The transfer: lines are read ahead, gathered per tenant in their order, and sent in batches.

Several batches are on their way at once, of one tenant too. Reading waits when sending is behind,
so memory is bounded whatever the export's size.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import aclosing

import httpx
import msgspec

from pipeline.core.errors import ApiKeyError, DatabaseUnavailable, TenantError, WorkbenchError
from workbench.importing.account import Account, LineOutcome
from workbench.importing.ahead import read_ahead
from workbench.importing.client import EventsClient, Verdict
from workbench.importing.keys import TemporaryKeys
from workbench.importing.lines import AnyLine, Line, Unreadable

GATHERED_LINES = 100_000
"""So many lines may wait for their batches to be full, over all tenants."""
BATCH_BYTES = 4_000_000
"""A batch is sent before it is full rather than being larger: a request has its limits."""
TIMEOUT = httpx.Timeout(60, connect=10)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How the lines are sent."""

    batch: int = 500
    """Events per request."""
    in_flight: int = 4
    """Requests at once."""


def transfer(
    lines: Iterable[AnyLine],
    *,
    url: str,
    keys: TemporaryKeys,
    account: Account,
    pace: Pace,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Send all lines and enter each into the account; `advance` is called now and then.

    What was read before the source failed is sent all the same. Raises what ended it: SourceError,
    ApiKeyError, StackError after long silence, or KeyboardInterrupt.
    """
    try:
        asyncio.run(_transfer(lines, url, keys, account, pace, advance))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group


async def _transfer(
    lines: Iterable[AnyLine],
    url: str,
    keys: TemporaryKeys,
    account: Account,
    pace: Pace,
    advance: Callable[[], None],
) -> None:
    failure: WorkbenchError | None = None
    reading = aclosing(read_ahead(lines))
    async with open_http(url, pace) as http, asyncio.TaskGroup() as tasks, reading as chunks:
        sending = Sending(EventsClient(http), keys, account, pace, tasks)
        try:
            async for chunk in chunks:
                for line in chunk:
                    await sending.take(line)
                advance()
        except WorkbenchError as error:
            failure = error
        await sending.flush()
    advance()
    if failure is not None:
        raise failure


def open_http(url: str, pace: Pace) -> httpx.AsyncClient:
    """A client for the API at this address; never through a proxy of the environment: it is this machine."""
    limits = httpx.Limits(max_connections=pace.in_flight)
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits, trust_env=False)


class Sending:
    """Gathers lines into batches, and sends them as tasks of a group."""

    def __init__(
        self,
        client: EventsClient,
        keys: TemporaryKeys,
        account: Account,
        pace: Pace,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._client = client
        self._keys = keys
        self._account = account
        self._pace = pace
        self._tasks = tasks
        self._slots = asyncio.Semaphore(pace.in_flight)
        self._minting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refusals: dict[str, str] = {}
        self._gathered: defaultdict[str, list[Line]] = defaultdict(list)
        self._bytes: Counter[str] = Counter()
        self._waiting = 0

    async def take(self, line: AnyLine) -> None:
        """Enter a line into the account, and see that it is sent."""
        self._account.read(line)
        if isinstance(line, Unreadable):
            return
        tenant_id = line.tenant_id
        if self._bytes[tenant_id] + len(line.event) > BATCH_BYTES:
            await self._dispatch(tenant_id)
        self._gathered[tenant_id].append(line)
        self._bytes[tenant_id] += len(line.event)
        self._waiting += 1
        if len(self._gathered[tenant_id]) >= self._pace.batch:
            await self._dispatch(tenant_id)
        elif self._waiting >= GATHERED_LINES:
            await self._dispatch(max(self._gathered, key=lambda name: len(self._gathered[name])))

    async def flush(self) -> None:
        """Send what is gathered, full or not."""
        for tenant_id in list(self._gathered):
            await self._dispatch(tenant_id)

    async def _dispatch(self, tenant_id: str) -> None:
        lines = self._gathered.pop(tenant_id, [])
        del self._bytes[tenant_id]
        self._waiting -= len(lines)
        if lines:
            await self._slots.acquire()
            self._tasks.create_task(self._send(tenant_id, lines))

    async def _send(self, tenant_id: str, lines: list[Line]) -> None:
        try:
            key = await self._key(tenant_id)
            if key is None:
                refused: Verdict = (LineOutcome.REFUSED, self._refusals[tenant_id])
                verdicts = [refused] * len(lines)
            else:
                verdicts = await self._client.send(key, [line.event for line in lines])
            for line, (outcome, reason) in zip(lines, verdicts, strict=True):
                self._account.settle(line, outcome, reason)
        finally:
            self._slots.release()

    async def _key(self, tenant_id: str) -> str | None:
        """The tenant's key; None if it gets none, for a reason that then stands in `_refusals`."""
        tries = 0
        while tenant_id not in self._refusals:
            try:
                async with self._minting[tenant_id]:
                    return await asyncio.to_thread(self._keys.key, tenant_id)
            except DatabaseUnavailable as error:
                await self._client.retry(tries, error.message)
                tries += 1
            except (TenantError, ApiKeyError) as error:
                self._refusals[tenant_id] = str(error)
        return None
