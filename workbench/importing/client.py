"""Sending a batch of events until the API has told the fate of each.

What may pass (no connection, 408, 429, 5xx) is tried again with a growing delay, or the one that
the API asks for. Every event has an id, so trying again counts nothing twice. Only long silence, or
an answer that trying again cannot change, ends it.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import httpx
import msgspec

from api.outcomes import Answer, Outcome
from pipeline.core.errors import ApiKeyError, StackError, WorkbenchError
from workbench.importing.account import LineOutcome

FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 5.0
LONGEST_ASKED_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
"""So long may the API answer nothing at all before the import gives up."""
COMPRESSION = 3
PASSING = frozenset({408, 429, 500, 502, 503, 504})
HEADERS = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}

Verdict = tuple[LineOutcome, str | None]

OUTCOMES = {
    Outcome.ACCEPTED: LineOutcome.ACCEPTED,
    Outcome.SPOOLED: LineOutcome.ACCEPTED,
    Outcome.DUPLICATE: LineOutcome.DUPLICATE,
    Outcome.CONFLICT: LineOutcome.CONFLICT,
    Outcome.INVALID: LineOutcome.INVALID,
}


class EventsClient:
    """The ingest API, as an import sees it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._heard_at = monotonic()

    async def send(self, key: str, events: Sequence[bytes]) -> list[Verdict]:
        """The verdict on each event. Raises ApiKeyError, or StackError after long silence."""
        response = await self._post(key, events)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            raise ApiKeyError(
                "The API refuses the key of this import, which was revoked meanwhile.",
                remedy="Import the file again: what is stored is not stored twice.",
            )
        if response.status_code == HTTPStatus.FORBIDDEN:
            return [(LineOutcome.REFUSED, _message(response))] * len(events)
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return await self._send_halves(key, events, response)
        return _verdicts(response, len(events))

    async def retry(self, tries: int, reason: str, asked_seconds: float | None = None) -> None:
        """Wait before another try. Raises StackError once the patience has run out."""
        if self._monotonic() - self._heard_at > self._patience_seconds:
            raise StackError(
                f"Nothing was taken for {self._patience_seconds:g} seconds: {reason}.",
                remedy="Look at the stack's log, then import the file again: nothing is stored twice.",
            )
        delay = min(FIRST_DELAY_SECONDS * 2**tries, LONGEST_DELAY_SECONDS) * random.uniform(0.5, 1)
        await self._sleep(max(delay, min(asked_seconds or 0, LONGEST_ASKED_SECONDS)))

    async def _post(self, key: str, events: Sequence[bytes]) -> httpx.Response:
        """The first answer that does not ask for another try."""
        body = gzip.compress(b"\n".join(events), COMPRESSION, mtime=0)
        headers = HEADERS | {"Authorization": f"Bearer {key}"}
        tries = 0
        while True:
            asked = None
            try:
                response = await self._http.post("/v1/events", content=body, headers=headers)
            except httpx.TransportError as error:
                reason = f"the API does not answer ({str(error) or type(error).__name__})"
            else:
                if response.status_code not in PASSING:
                    self._heard_at = self._monotonic()
                    return response
                reason, asked = _message(response), _retry_after(response)
            await self.retry(tries, reason, asked)
            tries += 1

    async def _send_halves(self, key: str, events: Sequence[bytes], refused: httpx.Response) -> list[Verdict]:
        if len(events) == 1:
            return [(LineOutcome.INVALID, _message(refused))]
        middle = len(events) // 2
        return await self.send(key, events[:middle]) + await self.send(key, events[middle:])


def _verdicts(response: httpx.Response, count: int) -> list[Verdict]:
    try:
        answer = msgspec.json.decode(response.content, type=Answer)
    except msgspec.DecodeError:
        answer = None
    if answer is None or [result.index for result in answer.results] != list(range(count)):
        raise WorkbenchError(
            f"The API gives an answer that this import does not understand: "
            f"{response.status_code}, {_message(response)}",
            remedy="Is the API of another release? End the stack and start it again.",
        )
    return [(OUTCOMES[result.outcome], result.reason) for result in answer.results]


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
