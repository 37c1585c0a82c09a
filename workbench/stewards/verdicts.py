"""A promotion's verdicts as lines by tenant and rule, and its trend as frames: what the page draws. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl
from msgspec.structs import replace

from workbench.promotions import PromotionLine
from workbench.quality.outline import changed_rows, needs_a_look
from workbench.quality.report import Point, QualityReport, Tenant

LISTED = 100
"""Tenants that a table lists."""
STATES = ("promoted", "failed", "not judged")
PLACES = 15
"""A shorter trend leaves room at its left, so that one promotion is a bar and not a block."""
SHOWN = {"Did not simply pass": "noted", "With warnings": "warned", "Passed": "passed", "Everybody": "all"}
"""Choices of tenants, by what they are called."""
EVERY_RULE = "Every rule"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant and a rule that did not pass for it; a tenant of which every rule passed has a line without."""

    tenant_id: str
    is_first: bool
    """Of the tenant's lines."""
    verdict: str | None
    now: str
    events: int
    changed: int
    """Rows of the marts that are, or would be, different."""
    rule: str | None = None
    stops: bool = False
    failing_rows: int = 0


def lines(report: QualityReport, *, which: str, rule: str = EVERY_RULE, named: str = "") -> tuple[list[Line], int]:
    """Lines of the tenants that are wanted, those that need somebody first, and how many tenants are left out.

    `which` is one of the values of SHOWN; `named` is a part of the tenant's name.
    """
    wanted = [each for each in report.tenants if _is_wanted(each, which) and named.strip().lower() in each.tenant_id]
    if rule != EVERY_RULE:
        wanted = [each for each in wanted if any(finding.rule == rule for finding in each.findings)]
    found = [line for tenant in wanted[:LISTED] for line in _of_tenant(tenant, rule)]
    return found, max(0, len(wanted) - LISTED)


def rule_names(report: QualityReport) -> list[str]:
    """The rules that did not pass for somebody, the heaviest first, after what stands for all."""
    weights: dict[str, int] = {}
    for tenant in report.tenants:
        for finding in tenant.findings:
            weights[finding.rule] = weights.get(finding.rule, 0) + finding.failing_rows
    return [EVERY_RULE, *sorted(weights, key=lambda name: (-weights[name], name))]


def trend(points: Sequence[Point]) -> pl.DataFrame:
    """promotion (String, in time's order), verdict (String, of STATES), tenants (Int64): one row for each of both."""
    counted = [
        (str(point.promotion_id), state, number)
        for point in points
        for state, number in zip(STATES, (point.promoted, point.failed, point.unjudged), strict=True)
    ]
    empty = [(place, STATES[0], 0) for place in _room(points)]
    schema = {"promotion": pl.String, "verdict": pl.String, "tenants": pl.Int64}
    return pl.DataFrame(empty + counted, schema=schema, orient="row")


def failing(points: Sequence[Point]) -> pl.DataFrame:
    """promotion (String, in time's order), failing_rows (Int64)."""
    counted = [(str(point.promotion_id), point.failing_rows) for point in points]
    empty = [(place, 0) for place in _room(points)]
    return pl.DataFrame(empty + counted, schema={"promotion": pl.String, "failing_rows": pl.Int64}, orient="row")


def _room(points: Sequence[Point]) -> list[str]:
    """Places without a promotion: blanks, each another."""
    return [" " * (number + 1) for number in range(PLACES - len(points))]


def place_of(promotions: Sequence[PromotionLine], asked: object) -> int:
    """Where in the list the promotion is that an address names; the newest for none, and for one that is not in it."""
    return next((place for place, each in enumerate(promotions) if str(each.promotion_id) == asked), 0)


def listed(promotions: Sequence[PromotionLine]) -> pl.DataFrame:
    """One row a promotion, newest first, under the headings that people read."""
    return pl.DataFrame(
        [
            {
                "Promotion": each.promotion_id,
                "Begun (UTC)": each.started_at.strftime("%Y-%m-%d %H:%M"),
                "State": each.state.replace("_", " "),
                "Promoted": each.promoted,
                "Held": each.held,
                "Undone": each.undone,
                "Events": each.events,
                "Changed rows": each.changed_rows,
            }
            for each in promotions
        ],
        schema={
            "Promotion": pl.Int64,
            "Begun (UTC)": pl.String,
            "State": pl.String,
            "Promoted": pl.Int64,
            "Held": pl.Int64,
            "Undone": pl.Int64,
            "Events": pl.Int64,
            "Changed rows": pl.Int64,
        },
    )


def _is_wanted(tenant: Tenant, which: str) -> bool:
    if which == "warned":
        return any(not finding.stops for finding in tenant.findings)
    return which == "all" or (which == "noted") == needs_a_look(tenant)


def _of_tenant(tenant: Tenant, rule: str) -> list[Line]:
    findings = [each for each in tenant.findings if rule in (EVERY_RULE, each.rule)]
    line = Line(
        tenant_id=tenant.tenant_id,
        is_first=True,
        verdict=tenant.verdict,
        now=_now(tenant),
        events=tenant.events,
        changed=changed_rows(tenant),
    )
    return [
        replace(line, is_first=place == 0, rule=each.rule, stops=each.stops, failing_rows=each.failing_rows)
        for place, each in enumerate(findings)
    ] or [line]


def _now(tenant: Tenant) -> str:
    if tenant.open_hold is not None:
        return "held"
    if tenant.undone_at is not None:
        return "undone"
    return "published" if tenant.promoted else "not held any more"
