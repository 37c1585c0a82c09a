"""A tenant of a few events without a database, for what no tenant of the real data set is like."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from workbench.session import Freshness

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_id": pl.String,
    "event_type": pl.String,
    "occurred_at": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "session_id": pl.String,
    "properties": pl.String,
}


def event(event_type: str, hour: int, *, user_id: str | None = None, session_id: str | None = None) -> dict[str, Any]:
    """An event some hours after a Monday morning."""
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": event_type,
        "occurred_at": MONDAY + timedelta(hours=hour),
        "user_id": user_id,
        "session_id": session_id,
        "properties": "{}",
    }


class StandIn:
    """As much of a Source as Funnels and Retention read."""

    tenant_id = "stand-in"
    display_name = "Stand-in"

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        self._events = pl.DataFrame(events, schema=SCHEMA)

    def table(self, name: str) -> pl.LazyFrame:
        """The events."""
        assert name == "fct_usage_events"
        return self._events.lazy()

    def freshness(self) -> Freshness:
        """Published a week later."""
        return Freshness(promotion_id=1, as_of=MONDAY + timedelta(days=7), held=False, held_since=None)
