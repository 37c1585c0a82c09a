"""The ledger of promotions: control.promotions and what hangs on it. All its statements are here.

It begins no transaction but for its own notes of a failure: the steps of the promotion do. Statements on
promotions that rest between their steps are in `resting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import Check, Finding, Report
from pipeline.promote.promotion import Basis, Plan, PromotionState, Request

ENDED_WITHOUT_A_WORD = "ended without a word: its process was killed, or lost the database"
SET_ASIDE = "set aside before its next step: another promotion, or a decision of a steward, came between"
LONGEST_ERROR = 4000

# Whoever holds the lock knows that no other promotion is alive. One that rests is nobody's failure, and
# waits for the request that it belongs to.
TAKE_OVER = """
with failed as (
    update control.promotions set
        state = 'failed',
        finished_at = clock_timestamp(),
        error = case when rested_at is null then %(died)s else %(set_aside)s end
    where state in ('planned', 'built', 'judged') and (rested_at is null or request_key is distinct from %(key)s)
    returning promotion_id, error, rested_at
)
insert into control.notifications (kind, promotion_id, payload)
select 'promotion.failed', promotion_id, jsonb_build_object('promotion', promotion_id, 'error', error)
from failed
where rested_at is null
"""

RUNNING = """
select promotion_id, started_at from control.promotions
where state in ('planned', 'built', 'judged')
order by promotion_id desc
limit 1
"""

# Every transaction below a snapshot's xmin has ended, so rows landed below it cannot become more. A
# release takes up what was judged, and nothing that was landed since.
BEGIN = """
insert into control.promotions (
    full_refresh, requested_tenants, bound_xid, as_of, models_fingerprint, asked_by, releases_hold, request_key
)
values (
    %(full_refresh)s, %(tenants)s, coalesce(%(bound)s::text::xid8, pg_snapshot_xmin(pg_current_snapshot())),
    %(as_of)s, %(models_fingerprint)s, %(asked_by)s, %(hold)s, %(key)s
)
returning promotion_id, as_of
"""

END_WITHOUT_NEWS = """
update control.promotions set state = 'nothing_new', finished_at = clock_timestamp() where promotion_id = %s
"""

ADVANCE = """
update control.promotions set state = %(to)s where promotion_id = %(promotion)s and state = %(expected)s
"""

# Whoever is to be told is told in the same transaction.
FAIL = """
with failed as (
    update control.promotions set state = 'failed', finished_at = clock_timestamp(), error = %(error)s
    where promotion_id = %(promotion)s and state in ('planned', 'built', 'judged')
    returning promotion_id, error
)
insert into control.notifications (kind, promotion_id, payload)
select 'promotion.failed', promotion_id, jsonb_build_object('promotion', promotion_id, 'error', error) from failed
"""

RECORD_VERDICTS = """
update control.promotion_tenants as t set verdict = v.verdict, candidate_rows = v.rows
from unnest(%(tenants)s::text[], %(verdicts)s::text[], %(rows)s::jsonb[]) as v (tenant_id, verdict, rows)
where t.promotion_id = %(promotion)s and t.tenant_id = v.tenant_id
"""

RECORD_FINDING = """
insert into control.check_results
    (tenant_id, promotion_id, boundary, rule, severity, outcome, failing_rows, detail, samples)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

RECORD_RULES = "update control.promotions set rules_fingerprint = %(rules)s where promotion_id = %(promotion)s"
RECORD_CHECK = """
insert into control.promotion_checks (
    promotion_id, boundary, rule, table_name, severity, why, outcome, checked_rows, failing_rows, failing_tenants
)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

# In a REPEATABLE READ transaction the row lock fails if somebody else has touched the row since.
CLAIM = """
select p.state = 'judged' and not exists (
    select from control.promotions as newer where newer.promotion_id > p.promotion_id
)
from control.promotions as p
where p.promotion_id = %s
for update
"""

RECORD_PROGRESS = """
insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
select t.tenant_id, p.bound_xid, p.promotion_id, p.as_of, p.models_fingerprint
from control.promotions as p
inner join control.promotion_tenants as t using (promotion_id)
where p.promotion_id = %(promotion)s and t.verdict in ('passed', 'released')
on conflict (tenant_id) do update set
    promoted_xid = excluded.promoted_xid,
    promotion_id = excluded.promotion_id,
    as_of = greatest(promotion_progress.as_of, excluded.as_of),
    models_fingerprint = excluded.models_fingerprint,
    held_since = null
"""

RECORD_PROMOTED = """
update control.promotion_tenants set promoted = true
where promotion_id = %(promotion)s and verdict in ('passed', 'released')
"""

RECORD_PUBLISHED = """
update control.promotions
set state = 'published', finished_at = clock_timestamp(), rows_written = %(written)s, rows_deleted = %(deleted)s
where promotion_id = %(promotion)s
"""

# Everything of a tenant that has nothing pending is published, whenever its last rows were.
RECORD_FRESHNESS = """
update control.promotion_progress as g set as_of = greatest(g.as_of, p.as_of)
from control.promotions as p, control.landing_progress as l
where
    p.promotion_id = %(promotion)s and l.tenant_id = g.tenant_id
    and l.landed_xid < g.promoted_xid and g.promotion_id is not null
"""


def take_over(connection: psycopg.Connection, *, key: str | None = None) -> None:
    """With the lock held, close the promotions of processes that are gone, and those that rest, but for `key`."""
    connection.execute(TAKE_OVER, {"died": ENDED_WITHOUT_A_WORD, "set_aside": SET_ASIDE, "key": key})


def describe_running(connection: psycopg.Connection) -> str:
    """The promotion under way, by id and since when, as a sentence's subject."""
    row = connection.execute(RUNNING).fetchone()
    return f"Promotion {row[0]}, since {row[1]:%Y-%m-%d %H:%M:%S} UTC," if row else "Another promotion"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A promotion that was entered, and up to when its marts will hold what was landed."""

    promotion_id: int
    as_of: datetime


def begin(connection: psycopg.Connection, request: Request, *, as_of: datetime, basis: Basis) -> Begun:
    """Enter a promotion with its bound."""
    release = request.release
    values = {
        "tenants": None if request.tenants is None else list(request.tenants),
        "full_refresh": request.full_refresh,
        "as_of": release.as_of if release else as_of,
        "bound": str(release.bound_xid) if release else None,
        "hold": release.hold_id if release else None,
        "asked_by": request.asked_by,
        "models_fingerprint": basis.models_fingerprint,
        "key": request.key,
    }
    row = connection.cursor(row_factory=class_row(Begun)).execute(BEGIN, values).fetchone()
    if row is None:
        raise PromotionError("The ledger took no new promotion.")
    return row


def end_without_news(connection: psycopg.Connection, promotion_id: int) -> None:
    """Close a promotion that found nothing to do."""
    connection.execute(END_WITHOUT_NEWS, (promotion_id,))
    connection.execute(RECORD_FRESHNESS, {"promotion": promotion_id})


def advance(connection: psycopg.Connection, promotion_id: int, expected: PromotionState, to: PromotionState) -> None:
    """Move a promotion on. Raises PromotionError if it is not in the state expected: another took it over."""
    values = {"promotion": promotion_id, "expected": expected, "to": to}
    if connection.execute(ADVANCE, values).rowcount != 1:
        raise _lost(promotion_id)


def fail(connection: psycopg.Connection, promotion_id: int, error: str) -> None:
    """Close a promotion with what went wrong."""
    connection.execute(FAIL, {"promotion": promotion_id, "error": error[:LONGEST_ERROR]})


def record_verdicts(
    connection: psycopg.Connection, promotion_id: int, report: Report, *, rules_fingerprint: str
) -> None:
    """Enter a verdict per tenant, what was checked and by which rules, and what did not pass."""
    connection.execute(RECORD_RULES, {"promotion": promotion_id, "rules": rules_fingerprint})
    verdicts = {
        "tenants": list(report.verdicts),
        "verdicts": [state.value for state in report.verdicts.values()],
        "rows": [Jsonb(dict(report.checked_rows.get(tenant, {}))) for tenant in report.verdicts],
    }
    connection.execute(RECORD_VERDICTS, verdicts | {"promotion": promotion_id})
    connection.cursor().executemany(RECORD_CHECK, [_check(promotion_id, check) for check in report.checks])
    rows = [
        (f.tenant_id, promotion_id, f.boundary, f.rule, f.severity, f.outcome, f.failing_rows, f.detail, _json(f))
        for f in report.findings
    ]
    connection.cursor().executemany(RECORD_FINDING, rows)


def claim(connection: psycopg.Connection, promotion_id: int) -> None:
    """Lock the promotion in the publishing transaction. Raises PromotionError unless it is judged and the newest."""
    row = connection.execute(CLAIM, (promotion_id,)).fetchone()
    if row is None or not row[0]:
        raise _lost(promotion_id)


def record_published(connection: psycopg.Connection, plan: Plan, *, written: int, deleted: int) -> None:
    """Move the passed tenants' progress to the bound and close the promotion, in the publishing transaction."""
    values = {"promotion": plan.promotion_id, "written": written, "deleted": deleted}
    for statement in (RECORD_PROGRESS, RECORD_PROMOTED, RECORD_PUBLISHED, RECORD_FRESHNESS):
        connection.execute(statement, values)


def _check(promotion_id: int, c: Check) -> tuple[object, ...]:
    counts = (c.checked_rows, c.failing_rows, c.failing_tenants)
    return (promotion_id, c.boundary, c.rule, c.table, c.severity, c.why, c.outcome, *counts)


def _json(finding: Finding) -> Jsonb:
    return Jsonb(finding.samples, dumps=lambda samples: msgspec.json.encode(samples, enc_hook=str))


def _lost(promotion_id: int) -> PromotionError:
    return PromotionError(
        f"Promotion {promotion_id} is no longer the one under way: another has taken over.",
        remedy="`workbench status` shows the latest; nothing of this one was published.",
    )
