"""Held tenants as a steward looks at them: why, since when, what differs, and what was decided before.

It only reads, in one snapshot as the steward; deciding is the promoter's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from pipeline.core.database import Database
from pipeline.core.errors import HoldError
from workbench.accounting.snapshot import snapshot

APPLICATION = "workbench_holds"
DECISIONS_SHOWN = 50


class HeldTenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that is held now."""

    tenant_id: str
    hold_id: int
    cause: str
    """checks, or rollback."""
    verdict: str
    promotion_id: int
    """The latest that judged it, or the earliest that was undone."""
    held_since: datetime
    events: int
    """What a release or a discard is about."""
    events_since: int
    """Landed since, which no decision concerns."""
    as_of: datetime | None
    """Up to when its customers see figures; None where nothing was ever published."""
    rules: Sequence[str]
    """The rules that hold it."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that did not pass, with up to 20 of its rows."""

    promotion_id: int
    boundary: str
    rule: str
    severity: str
    outcome: str
    failing_rows: int
    detail: str
    samples: Sequence[Any]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a mart that would change if the hold were released."""

    mart: str
    inserted: int
    updated: int
    deleted: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about the tenant."""

    at: datetime
    actor: str
    action: str
    details: Any


class HoldDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one held tenant."""

    hold: HeldTenant
    failures: Sequence[Failure]
    difference: Sequence[Difference]
    decisions: Sequence[Decision]


# What is judged ends at the bound; both counts are probes of the index (tenant_id, landed_xid).
HELD = """
select
    h.tenant_id,
    h.hold_id,
    h.cause,
    h.verdict,
    h.promotion_id,
    h.opened_at as held_since,
    judged.events,
    since.events as events_since,
    g.as_of,
    coalesce(failing.rules, '{}') as rules
from control.holds as h
left join control.promotion_progress as g using (tenant_id)
cross join lateral (
    select count(*) as events
    from raw.countable_events as e
    where
        e.tenant_id = h.tenant_id and e.landed_xid < h.bound_xid
        and e.landed_xid >= coalesce(g.promoted_xid, '0')
) as judged
cross join lateral (
    select count(*) as events
    from raw.countable_events as e
    where e.tenant_id = h.tenant_id and e.landed_xid >= h.bound_xid
) as since
left join lateral (
    select array_agg(c.rule order by c.failing_rows desc, c.rule) as rules
    from control.check_results as c
    where
        c.tenant_id = h.tenant_id and c.promotion_id = h.promotion_id
        and (c.severity = 'stop' or c.outcome = 'errored')
) as failing on true
where h.state = 'open' and (%(tenant)s::text is null or h.tenant_id = %(tenant)s)
order by h.opened_at, h.tenant_id
"""
FAILURES = """
select promotion_id, boundary, rule, severity, outcome, failing_rows, detail, samples
from control.check_results
where tenant_id = %(tenant)s and promotion_id = %(promotion)s
order by severity, failing_rows desc, boundary, rule
"""
DIFFERENCE = """
select mart, inserted, updated, deleted
from control.promotion_changes
where tenant_id = %(tenant)s and promotion_id = %(promotion)s
order by mart
"""
DECISIONS = """
select at, actor, action, details
from control.audit_log
where tenant_id = %(tenant)s
order by audit_id desc
limit %(most)s
"""


def read_holds(database: Database) -> list[HeldTenant]:
    """Every tenant that is held now, the longest held first. Raises DatabaseUnavailable."""
    with snapshot(database, application=APPLICATION) as connection:
        return _held(connection, None)


def read_hold(database: Database, tenant_id: str) -> HoldDetails:
    """All about a held tenant. Raises HoldError if it is not held, and DatabaseUnavailable."""
    with snapshot(database, application=APPLICATION) as connection:
        held = _held(connection, tenant_id)
        if not held:
            raise HoldError(f"{tenant_id} is not held.", remedy="`workbench holds list` shows who is.")
        values = {"tenant": tenant_id, "promotion": held[0].promotion_id, "most": DECISIONS_SHOWN}
        return HoldDetails(
            hold=held[0],
            failures=connection.cursor(row_factory=class_row(Failure)).execute(FAILURES, values).fetchall(),
            difference=connection.cursor(row_factory=class_row(Difference)).execute(DIFFERENCE, values).fetchall(),
            decisions=connection.cursor(row_factory=class_row(Decision)).execute(DECISIONS, values).fetchall(),
        )


def _held(connection: psycopg.Connection, tenant_id: str | None) -> list[HeldTenant]:
    return connection.cursor(row_factory=class_row(HeldTenant)).execute(HELD, {"tenant": tenant_id}).fetchall()
