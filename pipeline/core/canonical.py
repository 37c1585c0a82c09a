"""The canonical form of an event's content: two spellings of the same content are the same bytes.

Keys are sorted, a number is spelled one way whatever the sender wrote (`100`, `1e2`, `100.0`) and
keeps every digit that was sent, strings are escaped one way. The payload hash over this form is
what tells a resend from a conflict; it is stored for good, so its recipe never changes.

What has no canonical form, or none that PostgreSQL and every reader of JSON agree on, is refused
here with the reason. Reasons never repeat what was sent. Which fields an event has is not decided
here: see `events.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Context, Decimal
from hashlib import blake2b
from typing import cast

import msgspec

from pipeline.core.settings import IngestLimits

NUMBER_LENGTH = 100
"""Characters of a decimal number's text; the exact expansion of a common float has up to 60."""
SMALLEST_INT, LARGEST_INT = -(2**63), 2**63 - 1

_EVERY_DIGIT = Context(prec=NUMBER_LENGTH)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Infinity)")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")


class NotCanonicalError(Exception):
    """The text has no canonical form; the message says why, without repeating the text."""


def parse(raw: bytes) -> object:
    """The JSON value of a text, decimals exact. Raises NotCanonicalError and nothing else."""
    try:
        value: object = _decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise NotCanonicalError("is not valid UTF-8") from error
    except RecursionError as error:
        raise NotCanonicalError("is nested too deeply to be read") from error
    except msgspec.ValidationError as error:
        raise NotCanonicalError("holds an integer beyond 64 bits; send it as a string") from error
    except msgspec.DecodeError as error:
        raise NotCanonicalError(_why_malformed(raw, str(error))) from error
    return value


def encode(value: object) -> bytes:
    """The canonical bytes of a value that `parse` gave."""
    return _encoder.encode(value)


def check_limits(properties: dict[str, object], limits: IngestLimits) -> None:
    """Raise NotCanonicalError where a parsed object goes beyond a limit or holds what PostgreSQL refuses."""
    keys = 0
    waiting: list[tuple[object, int]] = [(properties, 1)]
    while waiting:
        container, depth = waiting.pop()
        if depth > limits.depth:
            raise NotCanonicalError(f"is nested deeper than {limits.depth} levels")
        if isinstance(container, dict):
            keys += len(container)
            if keys > limits.keys:
                raise NotCanonicalError(f"holds more than {limits.keys} keys")
            for key in container:
                _check_string(key, limits)
            children: Iterable[object] = container.values()
        else:
            children = cast("list[object]", container)
        for child in children:
            if type(child) is str:
                _check_string(child, limits)
            elif type(child) is int:
                _check_integer(child)
            elif type(child) is dict or type(child) is list:
                waiting.append((child, depth + 1))


def has_repeated_key(raw: bytes, value: object) -> bool:
    """Whether an object in a JSON text, of which `parse` gave this value, names a key twice.

    Parsers keep the last of the two in silence. The canonical form has as many colons as the text
    unless a key was dropped or a colon was escaped, so only those rare texts are read again.
    """
    if raw.count(b":") == encode(value).count(b":") and not _ESCAPED_COLON.search(raw):
        return False
    try:
        json.loads(raw, object_pairs_hook=_refuse_repeated)
    except NotCanonicalError:
        return True
    return False


def payload_hash(
    *,
    event_type: str,
    occurred_at: datetime | None,
    user_id: str | None,
    session_id: str | None,
    properties: bytes,
) -> bytes:
    """BLAKE2b, 16 bytes, over what an event says; `properties` in canonical form.

    `occurred_at` is None where the sender gave none, since the receipt that stands in for it differs
    from one resend to the next.
    """
    head = _encoder.encode((event_type, occurred_at, user_id, session_id))
    return blake2b(head + properties, digest_size=16).digest()


def exact(text: str) -> int | Decimal:
    """The number that a decimal text means, one value per meaning: an int where it is whole."""
    if len(text) > NUMBER_LENGTH:
        raise NotCanonicalError(f"holds a number longer than {NUMBER_LENGTH} characters; send it as a string")
    nearest = float(text)
    if math.isinf(nearest):
        raise NotCanonicalError("holds a number beyond the range of a 64-bit float; send it as a string")
    if nearest == 0:
        if text.lower().partition("e")[0].strip("-0."):
            raise NotCanonicalError("holds a number too close to zero for a 64-bit float; send it as a string")
        return 0
    number = Decimal(text).normalize(_EVERY_DIGIT)
    if SMALLEST_INT <= number <= LARGEST_INT and number == number.to_integral_value():
        return int(number)
    return number


def _check_integer(number: int) -> None:
    if not SMALLEST_INT <= number <= LARGEST_INT:
        raise NotCanonicalError("holds an integer beyond 64 bits; send it as a string")


def _check_string(text: str, limits: IngestLimits) -> None:
    if len(text) > limits.string_length:
        raise NotCanonicalError(f"holds a string longer than {limits.string_length} characters")
    if "\0" in text:
        raise NotCanonicalError("holds the character NUL, which PostgreSQL cannot store")


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise NotCanonicalError


def _why_malformed(raw: bytes, message: str) -> str:
    if raw.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark; send UTF-8 without one"
    if _NOT_A_NUMBER.search(raw):
        return "holds NaN or Infinity, which JSON does not have; send null or leave the key out"
    if _SURROGATE.search(raw):
        return "is not valid JSON; probably half of a surrogate pair: \\uD800 to \\uDFFF come in pairs"
    # The parser's own messages are fixed texts with a position; they repeat nothing of the input.
    return f"is not valid JSON: {message.removeprefix('JSON is malformed: ')}"


_decoder = msgspec.json.Decoder(float_hook=exact)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")
