"""The webhook as a value, and sending it one message.

It knows nothing of the outbox: what an answer means for a notification is decided in `delivery.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from pipeline.core.errors import SettingsError
from pipeline.core.webhook import WebhookSettings, is_loopback

BODY_BYTES = 4096
"""So much of an answer's body is read, and no more."""
EXCERPT = 200
SECONDS_FOR_THE_BODY = 1.0
SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Who is told, and how they know that it is us."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    timeout_seconds: float = 10

    @classmethod
    def from_settings(cls, settings: WebhookSettings) -> Endpoint | None:
        """The endpoint that is set, if one is. Raises SettingsError."""
        if not settings.url or not settings.secret:
            return None
        try:
            httpx.URL(settings.url)
        except httpx.InvalidURL as error:
            raise SettingsError(f"WORKBENCH_WEBHOOK_URL is no address: {error}.") from error
        return cls(url=settings.url, secret=settings.secret, timeout_seconds=settings.timeout_seconds)

    @property
    def host(self) -> str:
        """What may be told of the address: path and query of a webhook are often secret."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of one attempt. `status` is None where nobody answered; `told` says so in plain words."""

    status: int | None
    told: str

    @property
    def is_yes(self) -> bool:
        """Whether the receiver took the message."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_never_again(self) -> bool:
        """Whether the receiver wants no such message any more."""
        return self.status == HTTPStatus.GONE


class Sender:
    """Sends messages to an endpoint while its block runs, one after the other over the same connection.

    The work is asynchronous so that an attempt ends in time, however slowly the other side drips.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._runner = asyncio.Runner()
        self._parts = AsyncExitStack()
        # Proxies of the environment are not for what runs on this machine.
        self._client = httpx.AsyncClient(
            timeout=endpoint.timeout_seconds,
            follow_redirects=False,
            trust_env=not is_loopback(endpoint.host),
            headers={"user-agent": "analytics-workbench", "accept-encoding": "identity"},
        )

    def __enter__(self) -> Self:
        self._runner.run(self._parts.enter_async_context(self._client))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._parts.aclose())
        self._runner.close()

    def send(self, body: bytes, headers: Mapping[str, str], *, ending: Callable[[], bool]) -> Answer:
        """Send a message; the answer comes within the endpoint's time-out, or soon after `ending` is true."""
        return self._runner.run(self._attempt(body, headers, ending))

    async def _attempt(self, body: bytes, headers: Mapping[str, str], ending: Callable[[], bool]) -> Answer:
        attempt = asyncio.create_task(self._post(body, headers))
        deadline = time.monotonic() + self._endpoint.timeout_seconds
        while not attempt.done():
            left = deadline - time.monotonic()
            if left <= 0:
                return await _cut_off(attempt, f"no answer within {self._endpoint.timeout_seconds:g} s")
            if ending():
                return await _cut_off(attempt, "no answer before this process ended")
            await asyncio.wait({attempt}, timeout=min(left, SECONDS_BETWEEN_LOOKS))
        return attempt.result()

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        request = self._client.stream("POST", self._endpoint.url, content=body, headers=dict(headers))
        try:
            async with request as response:
                return Answer(status=response.status_code, told=await _tell(response))
        except httpx.TimeoutException:
            return Answer(status=None, told=f"no answer within {self._endpoint.timeout_seconds:g} s")
        except httpx.HTTPError as error:
            return Answer(status=None, told=f"{type(error).__name__}: {readable(str(error))}")


async def _cut_off(attempt: asyncio.Task[Answer], why: str) -> Answer:
    attempt.cancel()
    await asyncio.wait({attempt})
    finished = not attempt.cancelled() and attempt.exception() is None
    return attempt.result() if finished else Answer(status=None, told=why)


async def _tell(response: httpx.Response) -> str:
    """An answer in a line: its status, and how its body begins."""
    read = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(SECONDS_FOR_THE_BODY):
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) >= BODY_BYTES:
                    break
    status = f"{response.status_code} {readable(response.reason_phrase)}".strip()
    if response.is_redirect:
        return f"{status}: redirects are not followed"
    begins = readable(bytes(read[:EXCERPT]).decode(errors="replace"))
    return f"{status}: {begins}" if begins else status


def readable(text: str) -> str:
    """The beginning of a text from outside, in one line without control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[:EXCERPT]).split())
