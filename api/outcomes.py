"""What the sender is told of each event, and the status that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

import msgspec

from pipeline.core.events import Fate, Landed


class Outcome(StrEnum):
    """The outcome of one event. The first three mean that it is durable, and counts once."""

    ACCEPTED = "accepted"
    SPOOLED = "spooled"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INVALID = "invalid"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the event at a place in the request, from 0 (blank lines do not count)."""

    index: int
    event_id: UUID | None
    """Its id, sent or given; None where it is invalid and has no well-formed id."""
    outcome: Outcome
    reason: str | None = None
    """Why it is not stored."""
    retryable: bool = False
    """Whether sending it again unchanged can end differently."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The results in the order of the request, and how many there are of each outcome."""

    results: Sequence[Result]
    accepted: int
    spooled: int = 0
    duplicate: int
    conflict: int
    invalid: int


OUTCOMES = {
    Fate.STORED: Outcome.ACCEPTED,
    Fate.PUBLISHED: Outcome.ACCEPTED,
    Fate.SPOOLED: Outcome.SPOOLED,
    Fate.DUPLICATE: Outcome.DUPLICATE,
    Fate.CONFLICT: Outcome.CONFLICT,
    Fate.DEAD_LETTERED: Outcome.INVALID,
}


def result_of(index: int, event_id: UUID, landed: Landed) -> Result:
    """What a landed event's sender is told."""
    return Result(index=index, event_id=event_id, outcome=OUTCOMES[landed.fate], reason=landed.detail)


def answer_of(results: Sequence[Result]) -> Answer:
    """Results with their counts."""
    counts = Counter(result.outcome for result in results)
    return Answer(
        results=results,
        accepted=counts[Outcome.ACCEPTED],
        spooled=counts[Outcome.SPOOLED],
        duplicate=counts[Outcome.DUPLICATE],
        conflict=counts[Outcome.CONFLICT],
        invalid=counts[Outcome.INVALID],
    )


def status_of(answer: Answer) -> int:
    """200 where all is durable, 207 where a part is; where nothing is, 422 if any is invalid, else 409."""
    refused = answer.conflict + answer.invalid
    if not refused:
        return 200
    if refused < len(answer.results):
        return 207
    return 422 if answer.invalid else 409
