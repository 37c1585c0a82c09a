"""Records of the stream: an event as bytes, and back.

The value is the event in MessagePack (https://msgpack.org): an array that begins with the tag of
its layout, in the order of `Event`'s fields, ids as 16 bytes and times as extension type -1. The
key is the tenant's id. Where a record goes is decided in `routing.py`.
"""

from __future__ import annotations

import msgspec

from pipeline.core.errors import WorkbenchError
from pipeline.core.events import Event

_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(Event)


class UndecodableRecord(WorkbenchError):
    """The record's value is no event of ours."""


def encode_event(event: Event) -> bytes:
    """The value of an event's record."""
    return _encoder.encode(event)


def decode_event(value: bytes) -> Event:
    """The event in a record's value. Raises UndecodableRecord; its message repeats nothing of the value."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableRecord(f"the record is no event: {_kind(error)}") from error


def _kind(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        # Its message may name a tag that was sent.
        return "its fields are not those of an event"
    return "it is no MessagePack"
