"""Held tenants and decisions for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from workbench.stewards.decision import Request
from workbench.stewardship import Decision, Difference, Failure, HeldTenant, HoldDetails

MOMENT = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
STEWARD = "mira@example.com"


def held(tenant_id: str = "globex", **other: Any) -> HeldTenant:
    """A tenant that failed a rule."""
    fields: dict[str, Any] = {
        "hold_id": 17,
        "cause": "checks",
        "verdict": "failed",
        "promotion_id": 12,
        "held_since": MOMENT,
        "events": 5,
        "events_since": 1,
        "as_of": MOMENT,
        "rules": ["clock_is_not_ahead"],
    }
    return HeldTenant(tenant_id=tenant_id, **fields | other)


def failure(**other: Any) -> Failure:
    """A rule that stopped it for two rows."""
    fields: dict[str, Any] = {
        "promotion_id": 12,
        "boundary": "raw_to_facts",
        "rule": "clock_is_not_ahead",
        "severity": "stop",
        "outcome": "failed",
        "failing_rows": 2,
        "detail": "2 failing rows. Days to come.",
        "samples": [{"event_id": "e1", "lag_seconds": -1000}],
    }
    return Failure(**fields | other)


def details(**other: Any) -> HoldDetails:
    """All about it."""
    fields: dict[str, Any] = {
        "hold": held(),
        "failures": [failure()],
        "difference": [Difference(mart="fct_usage_events", inserted=5, updated=0, deleted=0)],
        "decisions": [Decision(at=MOMENT, actor="noor", action="rerun hold", details={"reason": "Mended."})],
    }
    return HoldDetails(**fields | other)


def request(action: str = "release", **other: Any) -> Request:
    """A decision about it."""
    fields: dict[str, Any] = {
        "token": "t1",
        "tenant_id": "globex",
        "hold_id": 17,
        "promotion_id": 12,
        "reason": "A trade fair.",
    }
    return Request(action=action, **fields | other)  # type: ignore[arg-type]
