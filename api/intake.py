"""POST /v1/events: from a request to the fate of each of its events.

The answer is made after the publisher told that the events are durable, never before. Decoding
yields to other requests now and then, since a full request takes tens of milliseconds of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.authentication import Authenticator
from api.batch import split_events
from api.body import form_of, read_body
from api.budget import MemoryBudget
from api.metrics import Metrics
from api.outcomes import Outcome, Result, answer_of, result_of, status_of
from api.refusals import Refusal, json_response
from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseUnavailable, StreamUnavailable
from pipeline.core.events import Event, InvalidEventError, Landed, decode_event
from pipeline.core.keys import Grant
from pipeline.core.settings import IngestLimits
from pipeline.stream.port import Overloaded, Publisher

BYTES_BETWEEN_YIELDS = 65_536

log = logging.getLogger(__name__)


class _Decoded(msgspec.Struct, kw_only=True):
    """A request's events with their places, what is invalid, and which ids the events got from us."""

    events: list[tuple[int, Event]]
    invalid: list[Result]
    given_ids: set[UUID]


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint, with everything that it works with."""

    publisher: Publisher
    authenticator: Authenticator
    limits: IngestLimits
    clock: Clock
    new_id: Callable[[], UUID]
    metrics: Metrics
    budget: MemoryBudget
    body_seconds: float

    async def post_events(self, request: Request) -> Response:
        """Take the events of a request. Raises Refusal."""
        grant = await self.authenticator.authorize(request, "ingest")
        form = form_of(request)
        with self.budget.share() as take:
            body = await read_body(request, limits=self.limits, take=take, seconds=self.body_seconds)
            texts = split_events(body, form, self.limits)
            decoded = await self._decode(texts, grant, self.clock())
            landed = await self._publish(decoded, grant.shards)
        results = decoded.invalid + [
            result_of(index, event.event_id, fate) for (index, event), fate in zip(decoded.events, landed, strict=True)
        ]
        answer = answer_of(sorted(results, key=lambda result: result.index))
        self.metrics.observe_answer(answer)
        log.debug("answered %d events, %d of them invalid", len(results), len(decoded.invalid))
        return json_response(answer, status_of(answer))

    async def _decode(self, texts: Sequence[bytes], grant: Grant, received_at: datetime) -> _Decoded:
        decoded = _Decoded(events=[], invalid=[], given_ids=set())

        def give_id() -> UUID:
            event_id = self.new_id()
            decoded.given_ids.add(event_id)
            return event_id

        unyielded = 0
        for index, text in enumerate(texts):
            try:
                event = decode_event(
                    text,
                    tenant_id=grant.tenant_id,
                    received_at=received_at,
                    limits=self.limits,
                    allowed_types=grant.allowed_types,
                    new_id=give_id,
                )
            except InvalidEventError as error:
                decoded.invalid.append(
                    Result(index=index, event_id=error.event_id, outcome=Outcome.INVALID, reason=error.reason)
                )
            else:
                decoded.events.append((index, event))
            unyielded += len(text)
            if unyielded > BYTES_BETWEEN_YIELDS:
                unyielded = 0
                await asyncio.sleep(0)
        return decoded

    async def _publish(self, decoded: _Decoded, shards: int) -> list[Landed]:
        if not decoded.events:
            return []
        try:
            with self.metrics.time_publish():
                return await self.publisher.publish([event for _, event in decoded.events], shards=shards)
        except Overloaded as error:
            raise Refusal(
                503, "overloaded", "Too many events wait already. Nothing of this request was taken; retry."
            ) from error
        except (DatabaseUnavailable, StreamUnavailable) as error:
            raise _in_doubt(decoded) from error


def _in_doubt(decoded: _Decoded) -> Refusal:
    """A retry is safe for every event with an id; so that it is for the others, they are told theirs."""
    given = [
        {"index": index, "event_id": event.event_id}
        for index, event in decoded.events
        if event.event_id in decoded.given_ids
    ]
    if not given:
        return Refusal(
            503, "unavailable", "The events could not be made durable. Retry with the same ids: none counts twice."
        )
    return Refusal(
        503,
        "unavailable",
        "The events could not be made durable, though those sent without event_id may have been taken. "
        "Retry them with the ids in details.retry_with; without, they may count twice.",
        details={"retry_with": given},
    )
