"""Cutting a body into the JSON texts of its events, without judging them.

A text that is no JSON is cut out like any other, so that it harms none of its neighbours. Only
where events cannot be told apart is the whole request refused.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from api.refusals import Refusal
from pipeline.core.settings import IngestLimits

COMMAS_PER_EVENT = 64
"""An array with more commas than this per allowed event is cut with an eye on its count, not all at once."""
TOKENS = 500_000
"""What cutting a malformed array may cost, in tokens; some 0.2 microseconds each."""

_LINE = re.compile(rb"[^\s][^\n]*")
# Possessive, since a long string would otherwise fill the stack with places to go back to.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
_OPENING, _CLOSING, _COMMA = b"[{", b"]}", ord(",")
_array_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class Form(StrEnum):
    """How events lie in a body: one JSON object or an array of them, or one object a line."""

    JSON = "json"
    LINES = "lines"


def split_events(body: bytes, form: Form, limits: IngestLimits) -> list[bytes]:
    """The events' texts, in order, blank lines left out.

    Raises Refusal: 413 for more events than a request may hold, 400 for none at all or for an array
    whose elements cannot be told apart.
    """
    if form is Form.LINES:
        events = _split_lines(body, limits.events)
    else:
        text = body.strip()
        events = _split_array(text, limits.events) if text.startswith(b"[") else [text] if text else []
    if len(events) > limits.events:
        raise Refusal(413, "too_many_events", f"The request holds more than {limits.events} events; send it in parts.")
    if not events:
        raise Refusal(400, "no_events", "The request holds no events.")
    return events


def _split_lines(body: bytes, most: int) -> list[bytes]:
    """Up to one line more than `most`."""
    lines: list[bytes] = []
    for match in _LINE.finditer(body):
        lines.append(match[0].rstrip())
        if len(lines) > most:
            break
    return lines


def _split_array(text: bytes, most: int) -> list[bytes]:
    if text.count(b",") <= most * COMMAS_PER_EVENT:
        try:
            return [bytes(raw) for raw in _array_decoder.decode(text)]
        except (msgspec.DecodeError, RecursionError):
            pass
    return _split_leniently(text, most)


def _split_leniently(text: bytes, most: int) -> list[bytes]:
    """The elements of an array by its brackets, commas and strings alone; up to one more than `most`."""
    elements: list[bytes] = []
    depth, start = 0, 1
    for count, token in enumerate(_TOKEN.finditer(text)):
        if count > TOKENS:
            break
        position = token.start()
        character = text[position]
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        if (depth == 1 and character == _COMMA) or depth == 0:
            elements.append(text[start:position].strip())
            start = position + 1
        if len(elements) > most:
            return elements
        if depth == 0:
            if start != len(text):
                break
            return [] if elements == [b""] else elements
    raise Refusal(400, "malformed_array", "The body begins as a JSON array, but its elements cannot be told apart.")
