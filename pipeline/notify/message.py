"""A notification as it is sent: the body, which is the same in every attempt, and an attempt's signed headers.

Bodies and signatures are those of the Standard Webhooks specification (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks.webhooks import Webhook

MOST_BYTES = 20_000
"""Of a body, as the specification recommends."""
LONGEST_TEXT = 200
MOST_ITEMS = 10
"""What is kept of texts and lists where a body would be too large."""


def body(kind: str, created_at: datetime, payload: Mapping[str, object]) -> bytes:
    """The JSON text `{"type": ..., "timestamp": ..., "data": ...}` in at most MOST_BYTES.

    Data that is too large is shortened, to its plain fields if need be, and says so: `"shortened": true`.
    """
    for data in (payload, _shortened(payload), _plain(payload)):
        text = _written(kind, created_at, data)
        if len(text) <= MOST_BYTES:
            return text
    return _written(kind, created_at, {"shortened": True})


def headers(message_id: UUID, sent_at: datetime, sent: bytes, secret: str) -> dict[str, str]:
    """The headers of one attempt; the id is the notification's, so the receiver knows a repetition."""
    return {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(message_id), sent_at.astimezone(UTC), sent.decode()),
    }


def _written(kind: str, created_at: datetime, data: Mapping[str, object]) -> bytes:
    moment = created_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {"type": kind, "timestamp": moment, "data": data}
    # ASCII: what tenants wrote must not surprise a receiver's log or terminal.
    return json.dumps(document, separators=(",", ":")).encode()


def _shortened(payload: Mapping[str, object]) -> dict[str, object]:
    return {key[:LONGEST_TEXT]: _short(value) for key, value in payload.items()} | {"shortened": True}


def _plain(payload: Mapping[str, object]) -> dict[str, object]:
    plain = {key: value for key, value in payload.items() if not isinstance(value, (list, dict))}
    return _shortened(dict(list(plain.items())[:MOST_ITEMS]))


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, list):
        return [_short(item) for item in value[:MOST_ITEMS]]
    if isinstance(value, dict):
        return {key[:LONGEST_TEXT]: _short(item) for key, item in list(value.items())[:MOST_ITEMS]}
    return value
