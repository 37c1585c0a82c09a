"""Reads a quality report from what promotions left on record: one snapshot, as the steward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.rows import class_row, dict_row

from pipeline.core.database import Database
from pipeline.core.errors import PromotionError, TenantError
from workbench.accounting.snapshot import snapshot
from workbench.quality import statements
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

APPLICATION = "workbench_quality"
TREND_LENGTH = 30
DECISIONS_OF_TENANT = 20
PROMOTIONS_NAMED = 10

Part = TypeVar("Part", bound=msgspec.Struct)


def read_report(
    database: Database, *, made_at: datetime, promotion_id: int | None = None, tenant_id: str | None = None
) -> QualityReport:
    """The report of a promotion, or of one tenant's part in it.

    Without `promotion_id` it is the latest promotion that judged anything (of the tenant). Raises
    PromotionError or TenantError, naming what there is instead, and DatabaseUnavailable.
    """
    with snapshot(database, application=APPLICATION) as connection:
        promotion = _choose(connection, promotion_id, tenant_id)
        values = {"promotion": promotion.promotion_id, "tenant": tenant_id, "most": TREND_LENGTH}
        checks = connection.cursor(row_factory=class_row(Check)).execute(statements.CHECKS, values).fetchall()
        tenants = _read_tenants(connection, values)
        query = statements.TREND if tenant_id is None else statements.TREND_OF_TENANT
        trend = connection.cursor(row_factory=class_row(Point)).execute(query, values).fetchall()
    return QualityReport(
        made_at=made_at,
        tenant_id=tenant_id,
        promotion=promotion,
        checks=checks,
        tenants=tenants,
        trend=trend[::-1],
        commands=next_commands(promotion, tenants, tenant_id),
    )


def _choose(connection: psycopg.Connection, promotion_id: int | None, tenant_id: str | None) -> Promotion:
    """The promotion that is meant, which judged something, and the tenant if one is named."""
    if tenant_id is not None and not _value(connection, statements.KNOWN_TENANT, tenant=tenant_id):
        raise TenantError(f"There is no tenant {tenant_id}.", remedy="`workbench tenants list` shows them.")
    asked = promotion_id
    if promotion_id is None:
        promotion_id = _value(connection, statements.LATEST, tenant=tenant_id)
    if promotion_id is None:
        whom = "anything" if tenant_id is None else f"anything of {tenant_id}"
        raise PromotionError(f"No promotion has judged {whom} yet.", remedy="`workbench promote` runs one.")
    cursor = connection.cursor(row_factory=class_row(Promotion))
    promotion = cursor.execute(statements.PROMOTION, {"promotion": promotion_id}).fetchone()
    if promotion is None:
        raise _unknown(connection, promotion_id)
    if asked is not None and not promotion.judged:
        raise _judged_nothing(connection, promotion)
    if asked is not None and tenant_id is not None:
        _require_part(connection, asked, tenant_id)
    return promotion


def _unknown(connection: psycopg.Connection, promotion_id: int) -> PromotionError:
    first, last = connection.execute(statements.RANGE).fetchone() or (None, None)
    if first is None:
        return PromotionError("There was no promotion yet.", remedy="`workbench promote` runs one.")
    return PromotionError(
        f"There is no promotion {promotion_id}: on record are {first} to {last}.",
        remedy="`workbench promotions list` shows the latest.",
    )


def _judged_nothing(connection: psycopg.Connection, promotion: Promotion) -> PromotionError:
    latest = _value(connection, statements.LATEST, tenant=None)
    because = {
        "nothing_new": "there was nothing new",
        "failed": f"it failed before its checks: {promotion.error}",
    }.get(promotion.state, f"it is {promotion.state}, and not at its checks yet")
    return PromotionError(
        f"Promotion {promotion.promotion_id} judged nothing: {because.rstrip('.')}.",
        remedy=f"The latest that judged is {latest}: `workbench quality report --promotion {latest}`."
        if latest is not None
        else "`workbench promote` runs one.",
    )


def _require_part(connection: psycopg.Connection, promotion_id: int, tenant_id: str) -> None:
    if _value(connection, statements.HAS_PART, tenant=tenant_id, promotion=promotion_id):
        return
    values = {"tenant": tenant_id, "most": PROMOTIONS_NAMED + 1}
    found = [row[0] for row in connection.execute(statements.PROMOTIONS_OF_TENANT, values).fetchall()]
    if not found:
        raise PromotionError(
            f"Promotion {promotion_id} did not judge {tenant_id}, and no promotion has.",
            remedy=f"`workbench promote --tenant {tenant_id}` takes up what it has sent.",
        )
    named = ", ".join(map(str, found[:PROMOTIONS_NAMED]))
    more = " and earlier ones" if len(found) > PROMOTIONS_NAMED else ""
    raise PromotionError(
        f"Promotion {promotion_id} did not judge {tenant_id}; these did: {named}{more}.",
        remedy=f"`workbench quality report --tenant {tenant_id}` shows the latest.",
    )


def _read_tenants(connection: psycopg.Connection, values: Mapping[str, Any]) -> list[Tenant]:
    """The tenants of the promotion with all that is on record of them."""
    rows = connection.cursor(row_factory=dict_row).execute(statements.TENANTS, values).fetchall()
    changes = _by_tenant(connection, statements.CHANGES, values, Change)
    findings = _by_tenant(connection, statements.FINDINGS, values, Finding)
    concerned = [
        row["tenant_id"]
        for row in rows
        if values["tenant"] or not row["promoted"] or row["undone_at"] or row["verdict"] == "released"
    ]
    about = {"promotion": values["promotion"], "tenants": concerned, "most": DECISIONS_OF_TENANT}
    holds = _by_tenant(connection, statements.HOLDS, about, Hold)
    decisions = _by_tenant(connection, statements.DECISIONS, about, Decision)
    tenants = [
        Tenant(
            **row,
            changes=changes.get(row["tenant_id"], []),
            findings=findings.get(row["tenant_id"], []),
            holds=holds.get(row["tenant_id"], []),
            decisions=decisions.get(row["tenant_id"], []),
        )
        for row in rows
    ]
    return sorted(tenants, key=_urgency)


def _urgency(tenant: Tenant) -> tuple[object, ...]:
    """What needs a decision first; then what was decided, what warns, and the rest; the heaviest first."""
    stopping = sum(finding.failing_rows for finding in tenant.findings if finding.stops)
    return (
        tenant.open_hold is None,
        not tenant.held,
        not tenant.findings,
        -stopping,
        -tenant.events,
        tenant.tenant_id,
    )


def _by_tenant(
    connection: psycopg.Connection, query: str, values: Mapping[str, Any], kind: type[Part]
) -> dict[str, list[Part]]:
    found: defaultdict[str, list[Part]] = defaultdict(list)
    for row in connection.cursor(row_factory=dict_row).execute(query, values):
        found[row.pop("tenant_id")].append(kind(**row))
    return found


def _value(connection: psycopg.Connection, query: str, **values: object) -> Any:
    row: Sequence[Any] | None = connection.execute(query, values).fetchone()
    return None if row is None else row[0]
