"""Holds: tenants whose new data was not promoted, until it passes or a steward decides.

All statements on control.holds are here, and the note of them that customers see beside their
figures. They run in the transaction that publishes, decides or undoes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import psycopg
from psycopg.rows import class_row

from pipeline.core.errors import HoldError
from pipeline.promote.promotion import Release, Request

LONGEST_REASON = 2_000

# Held again, it stays the hold that it was, about what was judged now.
OPEN = """
insert into control.holds (
    tenant_id, cause, promotion_id, promotions, verdict, bound_xid, as_of, raw_rows, models_fingerprint,
    rules_fingerprint
)
select
    t.tenant_id, 'checks', p.promotion_id, array[p.promotion_id], t.verdict, p.bound_xid, p.as_of, t.raw_rows,
    p.models_fingerprint, coalesce(p.rules_fingerprint, '')
from control.promotions as p
inner join control.promotion_tenants as t using (promotion_id)
where p.promotion_id = %(promotion)s and t.verdict not in ('passed', 'released')
on conflict (tenant_id) where state = 'open' do update set
    cause = excluded.cause,
    promotion_id = excluded.promotion_id,
    promotions = excluded.promotions,
    verdict = excluded.verdict,
    bound_xid = excluded.bound_xid,
    as_of = excluded.as_of,
    raw_rows = excluded.raw_rows,
    models_fingerprint = excluded.models_fingerprint,
    rules_fingerprint = excluded.rules_fingerprint,
    judged_at = clock_timestamp()
returning tenant_id, xmax = 0
"""

CLOSE = """
update control.holds as h set
    state = case when h.hold_id = p.releases_hold then 'released' else 'cleared' end,
    decided_at = clock_timestamp(),
    decided_by = p.asked_by,
    reason = %(reason)s
from control.promotions as p
inner join control.promotion_tenants as t using (promotion_id)
where
    p.promotion_id = %(promotion)s and t.verdict in ('passed', 'released')
    and h.tenant_id = t.tenant_id and h.state = 'open'
"""

# Undone after others were, it is one hold about all of them. What was only held before was never
# published: it is judged once the steward has decided about what was.
ROLL_BACK = """
insert into control.holds as h (
    tenant_id, cause, promotion_id, promotions, verdict, bound_xid, as_of, raw_rows, models_fingerprint,
    rules_fingerprint, reason
)
select
    t.tenant_id, 'rollback', min(t.promotion_id), array_agg(t.promotion_id), 'rolled_back',
    max(p.bound_xid), max(p.as_of), sum(t.raw_rows),
    max(p.models_fingerprint), '', %(reason)s
from control.promotion_tenants as t
inner join control.promotions as p using (promotion_id)
where t.tenant_id = any(%(tenants)s) and t.promotion_id = any(%(promotions)s) and t.promoted
group by t.tenant_id
on conflict (tenant_id) where state = 'open' do update set
    cause = excluded.cause,
    promotion_id = excluded.promotion_id,
    promotions = excluded.promotions || case when h.cause = 'rollback' then h.promotions else '{}' end,
    verdict = excluded.verdict,
    bound_xid = case
        when h.cause = 'rollback' then greatest(h.bound_xid, excluded.bound_xid)
        else excluded.bound_xid
    end,
    as_of = case when h.cause = 'rollback' then greatest(h.as_of, excluded.as_of) else excluded.as_of end,
    raw_rows = excluded.raw_rows + case when h.cause = 'rollback' then h.raw_rows else 0 end,
    models_fingerprint = excluded.models_fingerprint,
    rules_fingerprint = excluded.rules_fingerprint,
    reason = excluded.reason,
    judged_at = clock_timestamp()
"""

# What customers read beside their figures, in the same transaction.
SHOW = """
insert into control.promotion_progress (tenant_id, promoted_xid, models_fingerprint, held_since)
select h.tenant_id, '0', '', h.opened_at
from control.holds as h
where h.tenant_id = any(%(tenants)s) and h.state = 'open'
on conflict (tenant_id) do update set held_since = excluded.held_since
"""

# One message tells of a gate that could not judge, however many tenants it holds.
TELL_HELD = """
insert into control.notifications (kind, tenant_id, promotion_id, payload)
select
    'tenant.held', h.tenant_id, h.promotion_id, jsonb_build_object(
        'tenant', h.tenant_id, 'promotion', h.promotion_id, 'verdict', h.verdict, 'as_of', h.as_of,
        'raw_rows', h.raw_rows, 'rules', coalesce(rules.failing, '[]')
    )
from control.holds as h
left join lateral (
    select jsonb_agg(
        jsonb_build_object(
            'boundary', c.boundary, 'rule', c.rule, 'failing_rows', c.failing_rows, 'detail', c.detail
        ) order by c.failing_rows desc, c.rule
    ) as failing
    from control.check_results as c
    where c.tenant_id = h.tenant_id and c.promotion_id = h.promotion_id and c.severity = 'stop'
) as rules on true
where h.tenant_id = any(%(tenants)s) and h.state = 'open' and h.verdict <> 'errored'
"""
TELL_ERRORED = """
insert into control.notifications (kind, promotion_id, payload)
select
    'promotion.failed', h.promotion_id, jsonb_build_object(
        'promotion', h.promotion_id, 'tenants', count(distinct h.tenant_id),
        'error', coalesce(min(c.detail), 'The checks could not judge, so nothing was promoted.')
    )
from control.holds as h
left join control.check_results as c
    on c.tenant_id = h.tenant_id and c.promotion_id = h.promotion_id and c.outcome = 'errored'
where h.tenant_id = any(%(tenants)s) and h.state = 'open' and h.verdict = 'errored'
group by h.promotion_id
"""

FIND = """
select
    h.tenant_id, h.hold_id, h.cause, h.promotion_id, h.promotions, h.verdict,
    h.bound_xid::text::bigint as bound_xid, h.as_of, h.raw_rows, h.opened_at
from control.holds as h
where h.tenant_id = %(tenant)s and h.state = 'open'
for update
"""

# What a steward has seen stop it: in the promotion that held it, or in those that were undone.
PERMITTED = """
select distinct c.boundary, c.rule
from control.check_results as c
where
    c.tenant_id = %(tenant)s and c.promotion_id = any(%(promotions)s)
    and c.outcome = 'failed' and c.severity = 'stop'
"""

DISCARD = """
update control.holds set
    state = 'discarded', decided_at = clock_timestamp(), decided_by = %(actor)s, reason = %(reason)s
where tenant_id = %(tenant)s and hold_id = %(hold)s
"""


class OpenHold(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that is held now: by which promotion, for what, and how far what was judged reaches."""

    tenant_id: str
    hold_id: int
    cause: str
    """checks, or rollback."""
    promotion_id: int
    promotions: list[int]
    verdict: str
    bound_xid: int
    as_of: datetime
    raw_rows: int
    opened_at: datetime


def record(connection: psycopg.Connection, promotion_id: int, request: Request) -> None:
    """Open, keep and close the holds that follow from a promotion's verdicts; tell of those that are new."""
    values = {"promotion": promotion_id, "reason": request.reason}
    held = connection.execute(OPEN, values).fetchall()
    connection.execute(CLOSE, values)
    connection.execute(SHOW, {"tenants": [tenant for tenant, _ in held]})
    opened = {"tenants": [tenant for tenant, is_new in held if is_new]}
    connection.execute(TELL_HELD, opened)
    connection.execute(TELL_ERRORED, opened)


def roll_back(
    connection: psycopg.Connection, *, tenants: Sequence[str], promotions: Sequence[int], reason: str
) -> None:
    """Hold the tenants of promotions that were undone until a steward decides."""
    connection.execute(ROLL_BACK, {"tenants": list(tenants), "promotions": list(promotions), "reason": reason})
    connection.execute(SHOW, {"tenants": list(tenants)})


def find(connection: psycopg.Connection, tenant_id: str) -> OpenHold:
    """The tenant's open hold, locked. Raises HoldError if it is not held."""
    hold = connection.cursor(row_factory=class_row(OpenHold)).execute(FIND, {"tenant": tenant_id}).fetchone()
    if hold is None:
        raise HoldError(f"{tenant_id} is not held.", remedy="`workbench holds list` shows who is.")
    return hold


def release_of(connection: psycopg.Connection, hold: OpenHold) -> Release:
    """The release of a hold: exactly what was judged, and exactly the rules that are on record for it.

    Raises HoldError where nothing was judged, or nothing is known.
    """
    if hold.verdict not in ("failed", "rolled_back"):
        raise HoldError(
            f"{hold.tenant_id} is held as {hold.verdict}: the checks know nothing of its data that could be released.",
            remedy=f"`workbench holds rerun {hold.tenant_id}` judges it again.",
        )
    rules = connection.execute(PERMITTED, {"tenant": hold.tenant_id, "promotions": hold.promotions}).fetchall()
    return Release(
        tenant_id=hold.tenant_id,
        hold_id=hold.hold_id,
        bound_xid=hold.bound_xid,
        as_of=hold.as_of,
        permitted=frozenset((boundary, rule) for boundary, rule in rules),
    )


def discard(connection: psycopg.Connection, hold: OpenHold, *, actor: str, reason: str) -> None:
    """Close a hold whose rows were discarded."""
    values = {"tenant": hold.tenant_id, "hold": hold.hold_id, "actor": actor, "reason": reason}
    connection.execute(DISCARD, values)


def require_reason(reason: str) -> str:
    """The reason, trimmed. Raises HoldError for none, or one that is no sentence but a file."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise HoldError(
            f"A decision needs a reason of 1 to {LONGEST_REASON:,} characters; this one has {len(reason):,}.",
            remedy="Say why, for whoever reads the audit log: --reason TEXT.",
        )
    return reason
