"""The application in this process, with events kept in memory and keys that tests hand out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api.app import create_app
from pipeline.stream.memory import MemoryPublisher
from tests.unit.api.keys import KEY, Keys

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
Door = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def door(publisher: MemoryPublisher, keys: Keys) -> Door:
    """Opens a client of an application with the options given; it presents a valid key."""

    @asynccontextmanager
    async def open_door(**options: Any) -> AsyncIterator[httpx.AsyncClient]:
        given: dict[str, Any] = {"publisher": publisher, "keys": keys, "clock": lambda: NOW} | options
        app = create_app(**given)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://door",
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        ) as client:
            yield client

    return open_door
