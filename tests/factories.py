"""Small objects for tests, valid unless a test says otherwise."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

from pipeline.core.events import Event

MOMENT = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def event(**overrides: Any) -> Event:
    """A page view of tenant acme; a payload hash of its own follows from what is overridden."""
    fields: dict[str, Any] = {
        "tenant_id": "acme",
        "event_id": uuid.uuid4(),
        "event_type": "page_view",
        "occurred_at": MOMENT,
        "received_at": MOMENT,
        "user_id": "u1",
        "session_id": "s1",
        "properties": b"{}",
        "original": b"{}",
    } | overrides
    payload = repr([fields[name] for name in ("event_type", "occurred_at", "user_id", "session_id", "properties")])
    fields.setdefault("payload_hash", hashlib.blake2b(payload.encode(), digest_size=16).digest())
    return Event(**fields)
