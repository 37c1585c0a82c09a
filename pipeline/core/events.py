"""The event contract: what an event is, how a sent one becomes ours, and what may become of it.

`decode_event` settles at the door, for one event, everything that would fail later or mean
different things to different readers; its neighbours in a request are not its concern, nor is
how a request is cut into events (`api/batch.py`). Dates in the future pass: the promotion's gate
holds them, where a person can look.

An event is sent as a JSON object of these fields and no others; null is the same as leaving out:

    event_type   required: lower-case words joined by dots, 128 characters at most
    event_id     UUID; without one the event gets a UUIDv7 and a resend counts again
    occurred_at  RFC 3339 with an offset, kept to the microsecond; without one the time of receipt
    user_id      1 to 256 characters
    session_id   1 to 256 characters
    properties   an object, within IngestLimits
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from uuid import UUID

import msgspec

from pipeline.core.canonical import NotCanonicalError, check_limits, encode, has_repeated_key, parse, payload_hash
from pipeline.core.errors import WorkbenchError
from pipeline.core.plain import EARLIEST, ID_LENGTH, LATEST, Plain, read_plain
from pipeline.core.settings import IngestLimits

FIELDS = frozenset({"event_type", "event_id", "occurred_at", "user_id", "session_id", "properties"})
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")
EVENT_TYPE_LENGTH = 128
TYPES_REMEMBERED = 4_096

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="event.1", forbid_unknown_fields=True, gc=False
):
    """An event as we keep it, and, encoded, as records of the stream hold it. Times are aware, in UTC.

    Whoever changes the fields or their order changes the tag: records of both kinds are in the
    stream then.
    """

    tenant_id: str
    event_id: UUID
    event_type: str
    occurred_at: Moment
    received_at: Moment
    user_id: str | None
    session_id: str | None
    properties: bytes
    """A JSON object in canonical form, UTF-8."""
    payload_hash: bytes
    """See `canonical.payload_hash`: equal for the same content, 16 bytes."""
    original: bytes
    """The event's JSON text as it was sent."""


class Fate(StrEnum):
    """What became of an event that was handed over: the first two while a stream lies in between."""

    PUBLISHED = "published"
    """The stream has it; landing will settle the rest."""
    SPOOLED = "spooled"
    """It is on this machine's disk until the stream can be reached again."""
    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    DEAD_LETTERED = "dead_lettered"


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of one event, durable when it is told; `detail` says why where it was not stored."""

    fate: Fate
    detail: str | None = None


class InvalidEventError(WorkbenchError):
    """The event cannot be accepted; the reason names the field and the limit, never what was sent."""

    def __init__(self, reason: str, *, event_id: UUID | None = None) -> None:
        self.reason = reason
        self.event_id = event_id
        super().__init__(reason)


def decode_event(
    raw: bytes,
    *,
    tenant_id: str,
    received_at: datetime,
    limits: IngestLimits,
    allowed_types: frozenset[str] | None,
    new_id: Callable[[], UUID],
) -> Event:
    """The event in a JSON text. Raises InvalidEventError, with the event's id if it has a valid one.

    `allowed_types` None allows any well-formed type; `new_id` is asked only where no id was sent.
    """
    fields = read_plain(raw, limits, is_type=_is_type) or _look_closely(raw, limits)
    if allowed_types is not None and fields.event_type not in allowed_types:
        raise InvalidEventError("event_type is not among those that this tenant allows", event_id=fields.event_id)
    return Event(
        tenant_id=tenant_id,
        event_id=fields.event_id or new_id(),
        event_type=fields.event_type,
        occurred_at=fields.occurred_at or received_at,
        received_at=received_at,
        user_id=fields.user_id,
        session_id=fields.session_id,
        properties=fields.properties,
        payload_hash=payload_hash(
            event_type=fields.event_type,
            occurred_at=fields.occurred_at,
            user_id=fields.user_id,
            session_id=fields.session_id,
            properties=fields.properties,
        ),
        original=raw,
    )


def _look_closely(raw: bytes, limits: IngestLimits) -> Plain:
    fields = _parse_fields(raw, limits)
    event_id = _read_id(fields.get("event_id"))
    try:
        read = Plain(
            event_type=_read_type(fields.get("event_type")),
            event_id=event_id,
            occurred_at=_read_time(fields.get("occurred_at")),
            user_id=_read_text(fields, "user_id"),
            session_id=_read_text(fields, "session_id"),
            properties=_read_properties(fields.get("properties"), limits),
        )
        if has_repeated_key(raw, fields):
            raise InvalidEventError("a key occurs twice in one object; send it once")
    except InvalidEventError as error:
        error.event_id = event_id
        raise
    return read


@lru_cache(TYPES_REMEMBERED)
def _is_type(text: str) -> bool:
    return len(text) <= EVENT_TYPE_LENGTH and EVENT_TYPE.fullmatch(text) is not None


def _parse_fields(raw: bytes, limits: IngestLimits) -> dict[str, object]:
    if len(raw) > limits.event_bytes:
        raise InvalidEventError(f"the event is longer than {limits.event_bytes} bytes")
    try:
        fields = parse(raw)
    except NotCanonicalError as error:
        raise InvalidEventError(f"the event {error}") from error
    if not isinstance(fields, dict):
        raise InvalidEventError("an event is a JSON object")
    if not fields.keys() <= FIELDS:
        hint = "; the tenant comes from the API key" if "tenant_id" in fields else ""
        raise InvalidEventError(f"the event has a field other than {', '.join(sorted(FIELDS))}{hint}")
    return fields


def _read_id(value: object) -> UUID | None:
    if value is None:
        return None
    # The length first: the hyphens are optional to the conversion, but one id has one spelling.
    if isinstance(value, str) and len(value) == 36:
        try:
            return msgspec.convert(value, UUID)
        except msgspec.ValidationError:
            pass
    raise InvalidEventError("event_id must be a UUID of the form 8-4-4-4-12 hexadecimal digits")


def _read_type(value: object) -> str:
    if value is None:
        raise InvalidEventError("event_type is missing")
    if not isinstance(value, str) or not _is_type(value):
        raise InvalidEventError(
            f"event_type must be lower-case words joined by dots, such as 'report.opened', "
            f"of {EVENT_TYPE_LENGTH} characters at most"
        )
    return value


def _read_time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        time = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidEventError("occurred_at must be an RFC 3339 time with an offset, such as '2030-01-31T09:30:00Z'")
    if not EARLIEST <= time < LATEST:
        raise InvalidEventError(f"occurred_at must lie from {EARLIEST.year} to before {LATEST.year}")
    return time.astimezone(UTC)


def _read_text(fields: dict[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= ID_LENGTH or "\0" in value:
        raise InvalidEventError(f"{name} must be a string of 1 to {ID_LENGTH} characters without NUL")
    return value


def _read_properties(value: object, limits: IngestLimits) -> bytes:
    if value is None:
        return b"{}"
    if not isinstance(value, dict):
        raise InvalidEventError("properties must be a JSON object")
    try:
        check_limits(value, limits)
    except NotCanonicalError as error:
        raise InvalidEventError(f"properties {error}") from error
    return encode(value)
