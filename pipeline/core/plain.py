"""The short way from a JSON text to an event's fields, for the plain ones that most are.

It takes what needs no closer look: known fields, flat properties, short strings, no escape that
could hide something. Of everything else it says None, and `events.decode_event` looks closely. What
it takes means the same either way, which a property test compares.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pipeline.core.canonical import LARGEST_INT, SMALLEST_INT, NotCanonicalError, encode, exact
from pipeline.core.settings import IngestLimits

ID_LENGTH = 256
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
HIDING_ESCAPE = b"\\u00"
"""Begins the escapes of NUL and of the colon."""

_Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
_Text = Annotated[str, Meta(min_length=1)]
_EventId = Annotated[str, Meta(min_length=36, max_length=36)]
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotCanonicalError)


class _Sent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event_type: str
    event_id: _EventId | UnsetType | None = UNSET
    occurred_at: _Text | UnsetType | None = UNSET
    user_id: _Id | UnsetType | None = UNSET
    session_id: _Id | UnsetType | None = UNSET
    properties: dict[str, Any] | UnsetType | None = UNSET


class Plain(NamedTuple):
    """The fields of a plain event, as `Event` has them."""

    event_type: str
    event_id: UUID | None
    occurred_at: datetime | None
    user_id: str | None
    session_id: str | None
    properties: bytes


_decoder = msgspec.json.Decoder(_Sent, float_hook=exact)


def read_plain(raw: bytes, limits: IngestLimits, *, is_type: Callable[[str], bool]) -> Plain | None:
    """The fields in a JSON text, or None where it has to be looked at closely, valid or not."""
    if len(raw) > min(limits.event_bytes, limits.string_length) or HIDING_ESCAPE in raw:
        return None
    try:
        sent = _decoder.decode(raw)
        event_id = msgspec.convert(sent.event_id, UUID) if sent.event_id else None
        occurred_at = _moment(sent.occurred_at) if sent.occurred_at else None
    except _UNREADABLE:
        return None
    properties = sent.properties or {}
    if not is_type(sent.event_type) or not _is_flat(properties, limits):
        return None
    canonical = encode(properties)
    # A key that occurs twice is in the text twice, and here once.
    if raw.count(b":") != _colons(sent) + canonical.count(b":"):
        return None
    return Plain(sent.event_type, event_id, occurred_at, sent.user_id or None, sent.session_id or None, canonical)


def _moment(text: str) -> datetime | None:
    """A time that lies in UTC; raises ValidationError for any other, which the close look may take."""
    moment = msgspec.convert(text, datetime)
    if moment.tzinfo is not UTC or not EARLIEST <= moment < LATEST:
        raise msgspec.ValidationError
    return moment


def _is_flat(properties: dict[str, Any], limits: IngestLimits) -> bool:
    """Whether there is nothing in it that has to be gone into, nor an integer that is too large."""
    if len(properties) > limits.keys:
        return False
    for value in properties.values():
        kind = type(value)
        if kind is dict or kind is list or (kind is int and not SMALLEST_INT <= value <= LARGEST_INT):
            return False
    return True


def _colons(sent: _Sent) -> int:
    """The colons that its text has outside of `properties`, each key named once."""
    colons = 1 + (sent.properties is not UNSET) + (sent.event_id is not UNSET)
    if sent.occurred_at is not UNSET:
        colons += 1 + (sent.occurred_at.count(":") if sent.occurred_at else 0)
    if sent.user_id is not UNSET:
        colons += 1 + (sent.user_id.count(":") if sent.user_id else 0)
    if sent.session_id is not UNSET:
        colons += 1 + (sent.session_id.count(":") if sent.session_id else 0)
    return colons
