"""Quality reports for tests: ordinary ones, and one with everything that a page can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from workbench.quality.commands import next_commands
from workbench.quality.report import (
    Change,
    Check,
    Decision,
    Finding,
    Hold,
    Point,
    Promotion,
    QualityReport,
    Tenant,
)

MOMENT = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
WHY = "Usage would show on days that have not come."

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %}',
    "\u202egnp.exe \u2066\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "a\x00b\x1b[2Jc\x9b",
    "x" * 8192,
    "</style></title><!--",
    "lone \ud800 surrogate",
    "javascript:alert(1)",
)


def promotion(**other: Any) -> Promotion:
    """A published promotion of one tenant."""
    fields: dict[str, Any] = {
        "promotion_id": 12,
        "state": "published",
        "as_of": MOMENT,
        "bound_xid": "1412",
        "started_at": MOMENT,
        "finished_at": MOMENT + timedelta(seconds=3),
        "seconds": 3.0,
        "asked_by": "schedule",
        "full_refresh": False,
        "requested_tenants": None,
        "releases_hold": None,
        "models_fingerprint": "abc",
        "rules_fingerprint": "def",
        "tenants": 1,
        "judged": 1,
        "promoted": 1,
        "failed": 0,
        "unjudged": 0,
        "undone": 0,
        "events": 5,
        "undoable": True,
        "error": None,
    }
    return Promotion(**fields | other)


def check(rule: str = "clock_is_not_ahead", **other: Any) -> Check:
    """A stop rule that passed."""
    fields: dict[str, Any] = {
        "boundary": "raw_to_facts",
        "table_name": "fct_usage_events",
        "severity": "stop",
        "why": WHY,
        "outcome": "passed",
        "checked_rows": 100,
        "failing_rows": 0,
        "failing_tenants": 0,
    }
    return Check(rule=rule, **fields | other)


def finding(rule: str = "clock_is_not_ahead", **other: Any) -> Finding:
    """A stop rule that failed for two rows."""
    fields: dict[str, Any] = {
        "boundary": "raw_to_facts",
        "severity": "stop",
        "outcome": "failed",
        "failing_rows": 2,
        "detail": f"2 failing rows. {WHY}",
        "why": WHY,
        "samples": [{"event_id": f"e{number}", "lag_seconds": -number * 1000} for number in range(2)],
    }
    return Finding(rule=rule, **fields | other)


def tenant(tenant_id: str = "acme", **other: Any) -> Tenant:
    """A tenant that was promoted."""
    fields: dict[str, Any] = {
        "events": 5,
        "verdict": "passed",
        "promoted": True,
        "full_refresh": False,
        "undone_at": None,
        "checked_rows": {"fct_usage_events": 5, "dim_users": 2},
        "figures_as_of": MOMENT,
        "changes": [Change(mart="fct_usage_events", inserted=5, updated=0, deleted=0)],
    }
    return Tenant(tenant_id=tenant_id, **fields | other)


def hold(**other: Any) -> Hold:
    """A hold that waits for a decision."""
    fields: dict[str, Any] = {
        "hold_id": 1,
        "state": "open",
        "cause": "checks",
        "promotion_id": 12,
        "verdict": "failed",
        "events": 5,
        "opened_at": MOMENT,
        "judged_at": MOMENT,
        "decided_at": None,
        "decided_by": None,
        "reason": None,
    }
    return Hold(**fields | other)


def held(tenant_id: str = "globex", **other: Any) -> Tenant:
    """A tenant that is held for a stop rule."""
    fields: dict[str, Any] = {"verdict": "failed", "promoted": False, "findings": [finding()], "holds": [hold()]}
    return tenant(tenant_id, **fields | other)


def point(promotion_id: int = 12, **other: Any) -> Point:
    """A promotion in the trend."""
    fields: dict[str, Any] = {
        "started_at": MOMENT,
        "state": "published",
        "events": 5,
        "promoted": 1,
        "failed": 0,
        "unjudged": 0,
        "failing_rows": 0,
        "verdict": None,
        "undone": False,
    }
    return Point(promotion_id=promotion_id, **fields | other)


def report(*tenants: Tenant, **other: Any) -> QualityReport:
    """A report on these tenants."""
    about = other.pop("promotion", None) or promotion(
        tenants=len(tenants),
        promoted=sum(each.promoted for each in tenants),
        failed=sum(each.held for each in tenants),
    )
    fields: dict[str, Any] = {
        "made_at": MOMENT,
        "tenant_id": None,
        "checks": [check(), check("keys_are_unique")],
        "trend": [point(number, events=number * 7) for number in range(1, 13)],
        "commands": next_commands(about, tenants, other.get("tenant_id")),
    }
    return QualityReport(promotion=about, tenants=tenants, **fields | other)


def full_report() -> QualityReport:
    """Every kind of tenant, with hostile samples, in every part of the page."""
    samples = [{"payload": text, "<b>name</b>": {"nested": text}, "n": 1.5, "none": None} for text in HOSTILE[:6]]
    dirty = held(
        "globex",
        findings=[
            finding(samples=samples * 3, failing_rows=1234),
            finding(
                "gate_completes", outcome="errored", detail="It could not be judged: <timeout>", why=None, samples=()
            ),
        ],
        decisions=[Decision(at=MOMENT, actor="mira", action="discard events", reason=HOSTILE[0], details={})],
    )
    released = held("initech", verdict="released", promoted=True, holds=[hold(state="released", reason=HOSTILE[1],
        decided_by="mira", decided_at=MOMENT)])  # fmt: skip
    undone = tenant("hooli", undone_at=MOMENT, holds=[hold(cause="rollback", verdict="rolled_back")])
    warned = tenant("umbrella", findings=[finding("event_is_not_late", severity="warn", samples=samples)])
    checks = [
        check(outcome="failed", failing_rows=1234, failing_tenants=1),
        check("event_is_not_late", severity="warn", outcome="failed", failing_rows=2, failing_tenants=1),
        check("active_users_is_possible", boundary="metrics", table_name="active_users"),
    ]
    return report(dirty, undone, released, warned, tenant(), checks=checks)
