"""Promotions that rest between their steps, so that each step can be a process of its own; see decision 18.

A promotion rests built or judged, with everything in the ledger that its next step needs: the windows,
the seals of its candidate, the verdicts. Whoever asks by the same key takes it up again, or begins anew
where its candidate is no longer what was sealed. All of it happens with the lock held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import Finding, Report, VerdictState
from pipeline.promote import candidate, ledger, outcome
from pipeline.promote.marts import Mart
from pipeline.promote.promotion import Plan, Promotion, PromotionState, Request, Seal, Underway, Window

RESTING = frozenset({PromotionState.BUILT, PromotionState.JUDGED})
"""The states in which a promotion may rest."""
MODELS_CHANGED = "set aside before its next step: the models changed after it was built"

# Nobody was promoted where the checks could not judge: asked for again, it is tried again.
FIND = """
select
    p.promotion_id, p.state, p.as_of, p.full_refresh, p.requested_tenants, p.models_fingerprint, p.seals,
    exists (
        select from control.promotion_tenants as t
        where t.promotion_id = p.promotion_id and t.verdict = 'errored'
    ) as errored
from control.promotions as p
where p.request_key = %(key)s
order by p.promotion_id desc
limit 1
"""

REST = (
    "update control.promotions set rested_at = clock_timestamp(), seals = %(seals)s where promotion_id = %(promotion)s"
)
GO_ON = "update control.promotions set rested_at = null where promotion_id = %(promotion)s"
SET_ASIDE = """
update control.promotions set state = 'failed', finished_at = clock_timestamp(), error = %(error)s
where promotion_id = %(promotion)s
"""

WINDOWS = """
select tenant_id, from_xid::text::bigint as from_xid, full_refresh, raw_rows
from control.promotion_tenants
where promotion_id = %(promotion)s
order by tenant_id
"""
WAITING = """
select h.tenant_id from control.holds as h
where
    h.state = 'open'
    and not exists (
        select from control.promotion_tenants as t
        where t.tenant_id = h.tenant_id and t.promotion_id = %(promotion)s
    )
order by 1
"""
VERDICTS = """
select tenant_id, verdict from control.promotion_tenants where promotion_id = %(promotion)s and verdict is not null
"""
FINDINGS = """
select c.tenant_id, c.boundary, c.rule, c.severity, c.outcome, c.failing_rows, c.detail, c.samples
from control.check_results as c
where c.promotion_id = %(promotion)s
order by c.tenant_id, c.boundary, c.rule
"""
UNDONE = """
select tenant_id from control.promotion_tenants where promotion_id = %(promotion)s and undone_at is not null
"""
CHANGES = """
select c.mart, sum(c.inserted + c.updated)::bigint, sum(c.deleted)::bigint
from control.promotion_changes as c
inner join control.promotion_tenants as t using (tenant_id, promotion_id)
where c.promotion_id = %(promotion)s and t.promoted
group by 1
order by 1
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The latest promotion that a key led to."""

    promotion_id: int
    state: str
    as_of: datetime
    full_refresh: bool
    requested_tenants: list[str] | None
    models_fingerprint: str
    seals: dict[str, Any] | None
    errored: bool

    @property
    def rests(self) -> bool:
        """Whether its next step is to come."""
        return self.state in RESTING

    @property
    def answers(self) -> bool:
        """Whether what was asked for is done: nothing is left to do but to tell what came of it."""
        return self.state != PromotionState.FAILED and not self.rests and not self.errored


def find(connection: psycopg.Connection, request: Request) -> Found | None:
    """The promotion that the request's key led to, if it led to one.

    Raises PromotionError if that one was asked for something else.
    """
    if request.key is None:
        return None
    found = connection.cursor(row_factory=class_row(Found)).execute(FIND, {"key": request.key}).fetchone()
    if found is None:
        return None
    tenants = None if found.requested_tenants is None else tuple(found.requested_tenants)
    if (tenants, found.full_refresh) != (request.tenants, request.full_refresh):
        raise PromotionError(
            f"Promotion {found.promotion_id} was asked for by the same key {request.key!r}, but for other tenants, "
            "or with another choice about a full refresh.",
            remedy="Ask for the same again, or choose another key.",
        )
    return found


def rest(connection: psycopg.Connection, underway: Underway) -> None:
    """Leave a promotion that is built or judged to the process of its next step."""
    seals = {name: [seal.rows, seal.content] for name, seal in (underway.seals or {}).items()}
    connection.execute(REST, {"promotion": underway.plan.promotion_id, "seals": Jsonb(seals)})


def take_up(connection: psycopg.Connection, found: Found, *, models_fingerprint: str) -> Underway | None:
    """A promotion that rested, as far as it got; it counts as under way again.

    None if its candidate is of other models or not what was sealed: it is closed then, with the reason, and
    what was asked for is to begin anew.
    """
    if found.models_fingerprint != models_fingerprint:
        connection.execute(SET_ASIDE, {"promotion": found.promotion_id, "error": MODELS_CHANGED})
        return None
    seals = _seals(found.seals or {})
    try:
        candidate.verify(connection, seals)
    except (PromotionError, psycopg.errors.UndefinedTable) as error:
        ledger.fail(connection, found.promotion_id, str(error))
        return None
    connection.execute(GO_ON, {"promotion": found.promotion_id})
    is_judged = found.state == PromotionState.JUDGED
    report = recall_report(connection, found.promotion_id) if is_judged else None
    return Underway(plan=recall_plan(connection, found), seals=seals, report=report)


def answer(connection: psycopg.Connection, found: Found, marts: Sequence[Mart]) -> Promotion:
    """What came of a promotion, for whoever asks again; who was promoted, and undone since, is not promoted."""
    values = {"promotion": found.promotion_id}
    changed = {mart: (written, deleted) for mart, written, deleted in connection.execute(CHANGES, values)}
    changes = [(mart.name, *changed.get(mart.name, (0, 0))) for mart in marts]
    undone = {tenant_id for (tenant_id,) in connection.execute(UNDONE, values)}
    told = outcome.published(
        recall_plan(connection, found),
        recall_report(connection, found.promotion_id),
        written={mart: written for mart, written, _ in changes},
        deleted={mart: deleted for mart, _, deleted in changes},
        state=PromotionState(found.state),
    )
    promoted = {tenant_id: rows for tenant_id, rows in told.promoted.items() if tenant_id not in undone}
    return msgspec.structs.replace(told, promoted=promoted)


def recall_plan(connection: psycopg.Connection, found: Found) -> Plan:
    """The plan as it stands in the ledger."""
    values = {"promotion": found.promotion_id}
    windows = connection.cursor(row_factory=class_row(Window)).execute(WINDOWS, values).fetchall()
    waiting = connection.execute(WAITING, values).fetchall()
    return Plan(
        promotion_id=found.promotion_id,
        as_of=found.as_of,
        models_fingerprint=found.models_fingerprint,
        windows=tuple(windows),
        waiting=tuple(tenant_id for (tenant_id,) in waiting),
    )


def recall_report(connection: psycopg.Connection, promotion_id: int) -> Report:
    """The verdicts as they stand in the ledger, and what did not pass."""
    values = {"promotion": promotion_id}
    verdicts = {tenant: VerdictState(verdict) for tenant, verdict in connection.execute(VERDICTS, values)}
    findings = connection.cursor(row_factory=dict_row).execute(FINDINGS, values).fetchall()
    return Report(verdicts=verdicts, findings=tuple(_finding(row) for row in findings))


def _finding(row: dict[str, Any]) -> Finding:
    return Finding(**row | {"samples": tuple(row["samples"])})


def _seals(stored: Mapping[str, Any]) -> dict[str, Seal]:
    return {name: Seal(rows=rows, content=content) for name, (rows, content) in stored.items()}
