"""The lines of an export, each cut into the tenant it names and the event that is to be sent.

Only the tenant's field is taken out: the values of all others are sent byte for byte, and judging
them is the API's work. What is not even an object with a tenant is `Unreadable`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line to send; `number` counts from 1, blank lines included."""

    number: int
    original: bytes
    """As it stands in the export, its end included."""
    tenant_id: str
    event: bytes
    """The event's JSON text, without the tenant."""
    id_given: bool
    """It came without event_id, and has one for this import, so that trying again counts it once."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot be sent, and why."""

    number: int
    original: bytes
    reason: str


AnyLine = Line | Unreadable


class UnreadableError(Exception):
    """The line has no tenant and event; the message says why."""


def read_lines(texts: Iterable[bytes], *, tenant_field: str, new_id: Callable[[], UUID]) -> Iterator[AnyLine]:
    """Cut each line; blank ones are passed over."""
    for number, original in enumerate(texts, start=1):
        text = original.strip()
        if not text:
            continue
        try:
            yield _cut(number, original, text, tenant_field, new_id)
        except UnreadableError as error:
            yield Unreadable(number=number, original=original, reason=str(error))


def _cut(number: int, original: bytes, text: bytes, tenant_field: str, new_id: Callable[[], UUID]) -> Line:
    fields = _fields_of(text)
    tenant = fields.pop(tenant_field, None)
    if tenant is None:
        raise UnreadableError(f"has no field {tenant_field}")
    id_given = bytes(fields.get("event_id", NULL)) == b"null"
    if id_given:
        fields["event_id"] = msgspec.Raw(msgspec.json.encode(new_id()))
    return Line(
        number=number,
        original=original,
        tenant_id=_text_of(tenant, tenant_field),
        event=msgspec.json.encode(fields),
        id_given=id_given,
    )


def _fields_of(text: bytes) -> dict[str, msgspec.Raw]:
    try:
        fields = _fields.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"is no JSON object: {error}") from error
    # Of a key that occurs twice only the last value is left, so both would not be sent as they are.
    colons = len(fields) + sum(bytes(value).count(b":") for value in fields.values())
    if colons != text.count(b":") and _repeats_key(text):
        raise UnreadableError("has a field twice")
    return fields


def _repeats_key(text: bytes) -> bool:
    """Whether the outermost object names a key twice; only asked where a colon is unaccounted for."""
    objects: list[list[tuple[str, object]]] = []
    try:
        # Numbers are not converted: they may be longer than Python converts.
        json.loads(text, object_pairs_hook=objects.append, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is no JSON object: {error}") from error
    outermost = [key for key, _ in objects[-1]]
    return len(set(outermost)) != len(outermost)


def _text_of(value: msgspec.Raw, field: str) -> str:
    try:
        return _text.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(f"has a field {field} that is no text") from error


NULL = msgspec.Raw(b"null")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
