"""Sending without an end, a few events a second, until interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice

from workbench.importing.account import Account
from workbench.importing.client import EventsClient
from workbench.importing.keys import TemporaryKeys
from workbench.importing.lines import AnyLine
from workbench.importing.transfer import Pace, Sending, open_http


def send_live(
    lines: Iterator[AnyLine],
    *,
    url: str,
    keys: TemporaryKeys,
    account: Account,
    per_second: int,
    advance: Callable[[], None],
) -> None:
    """Take and send so many lines each second; `advance` is called after each second's.

    Raises KeyboardInterrupt, ApiKeyError, or StackError after long silence.
    """
    try:
        asyncio.run(_send_live(lines, url, keys, account, per_second, advance))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group


async def _send_live(
    lines: Iterator[AnyLine],
    url: str,
    keys: TemporaryKeys,
    account: Account,
    per_second: int,
    advance: Callable[[], None],
) -> None:
    pace = Pace()
    async with open_http(url, pace) as http, asyncio.TaskGroup() as tasks:
        sending = Sending(EventsClient(http), keys, account, pace, tasks)
        while True:
            for line in islice(lines, per_second):
                await sending.take(line)
            await sending.flush()
            advance()
            await asyncio.sleep(1)
