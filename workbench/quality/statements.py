"""The questions of the quality report, in SQL: the steward's role may read all of it."""

from __future__ import annotations

LATEST = """
select max(promotion_id) from control.promotion_tenants
where verdict is not null and (%(tenant)s::text is null or tenant_id = %(tenant)s)
"""
RANGE = "select min(promotion_id), max(promotion_id) from control.promotions"
KNOWN_TENANT = """
select exists (select from control.tenants where tenant_id = %(tenant)s)
    or exists (select from control.promotion_tenants where tenant_id = %(tenant)s)
"""
HAS_PART = """
select exists (
    select from control.promotion_tenants
    where tenant_id = %(tenant)s and promotion_id = %(promotion)s and verdict is not null
)
"""
PROMOTIONS_OF_TENANT = """
select promotion_id from control.promotion_tenants
where tenant_id = %(tenant)s and verdict is not null
order by promotion_id desc
limit %(most)s
"""

PROMOTION = """
select
    p.promotion_id, p.state, p.as_of, p.bound_xid::text as bound_xid, p.started_at, p.finished_at,
    extract(epoch from p.finished_at - p.started_at)::double precision as seconds,
    p.asked_by, p.full_refresh, p.requested_tenants, p.releases_hold, p.models_fingerprint, p.rules_fingerprint,
    t.tenants, t.judged, t.promoted, t.failed, t.unjudged, t.undone, t.events,
    p.state = 'published' and p.journal_pruned_at is null and t.promoted > t.undone as undoable,
    p.error
from control.promotions as p
cross join lateral (
    select
        count(*) as tenants,
        count(verdict) as judged,
        count(*) filter (where promoted) as promoted,
        count(*) filter (where verdict = 'failed') as failed,
        count(*) filter (where verdict in ('errored', 'empty', 'unseen')) as unjudged,
        count(*) filter (where undone_at is not null) as undone,
        coalesce(sum(raw_rows), 0)::bigint as events
    from control.promotion_tenants
    where promotion_id = p.promotion_id
) as t
where p.promotion_id = %(promotion)s
"""

CHECKS = """
select boundary, rule, table_name, severity, why, outcome, checked_rows, failing_rows, failing_tenants
from control.promotion_checks
where promotion_id = %(promotion)s
order by boundary, rule
"""

TENANTS = """
select
    t.tenant_id, t.raw_rows as events, t.verdict, t.promoted, t.full_refresh, t.undone_at,
    t.candidate_rows as checked_rows, g.as_of as figures_as_of
from control.promotion_tenants as t
left join control.promotion_progress as g using (tenant_id)
where t.promotion_id = %(promotion)s and (%(tenant)s::text is null or t.tenant_id = %(tenant)s)
"""

CHANGES = """
select tenant_id, mart, inserted, updated, deleted
from control.promotion_changes
where promotion_id = %(promotion)s and (%(tenant)s::text is null or tenant_id = %(tenant)s)
order by tenant_id, mart
"""

FINDINGS = """
select
    r.tenant_id, r.boundary, r.rule, r.severity, r.outcome, r.failing_rows, r.detail, c.why, r.samples
from control.check_results as r
left join control.promotion_checks as c using (promotion_id, boundary, rule)
where r.promotion_id = %(promotion)s and (%(tenant)s::text is null or r.tenant_id = %(tenant)s)
order by r.tenant_id, r.severity <> 'stop' and r.outcome <> 'errored', r.failing_rows desc, r.boundary, r.rule
"""

# A hold is this promotion's if it was open while that ran, or names it; the open one counts whatever opened it.
HOLDS = """
select
    h.tenant_id, h.hold_id, h.state, h.cause, h.promotion_id, h.verdict, h.raw_rows as events,
    h.opened_at, h.judged_at, h.decided_at, h.decided_by, h.reason
from control.holds as h
cross join control.promotions as p
where
    p.promotion_id = %(promotion)s and h.tenant_id = any(%(tenants)s)
    and (
        h.state = 'open'
        or h.promotion_id = p.promotion_id
        or (h.opened_at <= coalesce(p.finished_at, h.opened_at) and h.decided_at >= p.started_at)
    )
order by h.tenant_id, h.hold_id desc
"""

# An index holds what is of a tenant together; sign-ins are of none.
DECISIONS = """
select tenant_id, at, actor, action, details ->> 'reason' as reason, details - 'event_ids' - 'reason' as details
from (
    select
        a.*,
        row_number() over (partition by a.tenant_id order by a.audit_id desc) as place
    from control.audit_log as a
    where a.tenant_id = any(%(tenants)s)
) as a
where place <= %(most)s
order by tenant_id, place
"""

TREND = """
select
    p.promotion_id, p.started_at, p.state, t.events, t.promoted, t.failed, t.unjudged, null as verdict,
    p.state = 'rolled_back' as undone,
    coalesce((
        select sum(c.failing_rows)::bigint from control.promotion_checks as c where c.promotion_id = p.promotion_id
    ), 0) as failing_rows
from control.promotions as p
cross join lateral (
    select
        coalesce(sum(raw_rows), 0)::bigint as events,
        count(*) filter (where promoted) as promoted,
        count(*) filter (where verdict = 'failed') as failed,
        count(*) filter (where verdict in ('errored', 'empty', 'unseen')) as unjudged,
        count(verdict) as judged
    from control.promotion_tenants
    where promotion_id = p.promotion_id
) as t
where p.promotion_id <= %(promotion)s and p.state <> 'nothing_new' and t.judged > 0
order by p.promotion_id desc
limit %(most)s
"""
TREND_OF_TENANT = """
select
    p.promotion_id, p.started_at, p.state, t.raw_rows as events, t.promoted::integer as promoted,
    (t.verdict = 'failed')::integer as failed,
    (t.verdict in ('errored', 'empty', 'unseen'))::integer as unjudged,
    t.verdict, t.undone_at is not null as undone,
    coalesce((
        select sum(c.failing_rows)::bigint from control.check_results as c
        where c.tenant_id = t.tenant_id and c.promotion_id = t.promotion_id
    ), 0) as failing_rows
from control.promotion_tenants as t
inner join control.promotions as p using (promotion_id)
where t.tenant_id = %(tenant)s and t.promotion_id <= %(promotion)s and t.verdict is not null
order by p.promotion_id desc
limit %(most)s
"""
