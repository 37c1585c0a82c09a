"""Screening: which events of a batch PostgreSQL may refuse, by what can be told in a moment.

A refusal costs the whole COPY that it is in. Where some were met lately, suspects are therefore
copied apart from the rest. Nothing is decided here: whoever is suspected wrongly is stored, and
whoever is missed is found by the refusal.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.core.events import Event

SCREENED_AFTER_A_REFUSAL = 64
"""So many batches are screened after one in which something was refused."""
NUL_IN_JSON = b"\\u0000"
"""What jsonb refuses of otherwise valid JSON."""


class _AnyObject(msgspec.Struct):
    """An object whose fields are looked over, and none kept."""


_decoder = msgspec.json.Decoder(_AnyObject)


class Screen:
    """Screens the batches of one session while that is worth its price."""

    def __init__(self) -> None:
        self._batches_to_go = 0

    def divide(self, events: Sequence[Event], positions: Sequence[int]) -> tuple[list[int], list[int]]:
        """The positions of those that are probably well, and of the suspects."""
        if not self._batches_to_go:
            return list(positions), []
        self._batches_to_go -= 1
        well: list[int] = []
        suspects: list[int] = []
        for position in positions:
            (suspects if is_suspect(events[position]) else well).append(position)
        return well, suspects

    def learn(self, refused: int) -> None:
        """How many of the batch were refused in the end."""
        if refused:
            self._batches_to_go = SCREENED_AFTER_A_REFUSAL


def is_suspect(event: Event) -> bool:
    """Whether it holds NUL, or properties that are no JSON object."""
    if NUL_IN_JSON in event.properties or "\0" in f"{event.event_type}{event.user_id}{event.session_id}":
        return True
    try:
        _decoder.decode(event.properties)
    except (msgspec.DecodeError, RecursionError):
        return True
    return False
