"""What became of every event, per tenant, and how the last promotion went; read as the steward.

All figures are of one snapshot, so they add up while events arrive. It only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from psycopg.rows import class_row

from pipeline.core.database import Database
from workbench.accounting.in_flight import InFlight, StreamCounter
from workbench.accounting.snapshot import snapshot
from workbench.accounting.stream import Gap, read_gaps, read_landed


class TenantStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's events by their fate, and where it stands."""

    tenant_id: str
    status: str
    """active, suspended, or unknown: events arrived for a tenant that was never added."""
    accepted: int
    stored: int
    duplicate: int
    dead_lettered: int
    in_flight: int | None
    """Accepted and not landed: 0 where the API itself lands, None where the stream cannot be read."""
    pending: int
    """Stored, but not in the marts yet."""
    discarded: int
    """Stored, and kept out of the marts for good by a steward."""
    as_of: datetime | None
    """Up to when the marts hold what was landed; None before the first promotion."""
    held: str | None
    """For what the tenant is held: the verdict, or rolled_back; None if it is not."""
    held_by: int | None
    """The promotion that gave this verdict, or that was undone."""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The same figures over all tenants."""

    accepted: int
    stored: int
    duplicate: int
    dead_lettered: int
    in_flight: int | None
    pending: int
    discarded: int


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds a tenant, and the promotion in which it did."""

    tenant_id: str
    promotion_id: int
    boundary: str
    rule: str
    outcome: str
    failing_rows: int
    detail: str


class LastPromotion(msgspec.Struct, frozen=True, kw_only=True):
    """The latest promotion that was begun, whatever became of it; `promoted` and `held` count tenants."""

    promotion_id: int
    state: str
    full_refresh: bool
    as_of: datetime
    started_at: datetime
    finished_at: datetime | None
    promoted: int
    held: int
    rows_written: int
    rows_deleted: int
    error: str | None


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The stream, where there is one."""

    topic: str
    problem: str | None
    """Why what is in flight is not known."""
    gaps: Sequence[Gap]
    """Records that were lost before they landed."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; `reasons` are of the tenants held now, the heaviest first within a tenant."""

    tenants: Sequence[TenantStatus]
    total: Total
    last_promotion: LastPromotion | None
    reasons: Sequence[Reason]
    stream: StreamStatus | None = None


# Pending rows are counted by the index (tenant_id, landed_xid) above what is promoted.
TENANTS = """
with ingest as (
    select
        tenant_id,
        sum(accepted)::bigint as accepted,
        sum(stored)::bigint as stored,
        sum(duplicate)::bigint as duplicate,
        sum(dead_lettered)::bigint as dead_lettered
    from control.ingest_ledger
    group by tenant_id
),

discards as (
    select tenant_id, count(*) as discarded
    from raw.discarded_events
    group by tenant_id
)

select
    coalesce(t.tenant_id, i.tenant_id) as tenant_id,
    coalesce(t.status, 'unknown') as status,
    coalesce(i.accepted, 0) as accepted,
    coalesce(i.stored, 0) as stored,
    coalesce(i.duplicate, 0) as duplicate,
    coalesce(i.dead_lettered, 0) as dead_lettered,
    coalesce(i.accepted - i.stored - i.duplicate - i.dead_lettered, 0) as in_flight,
    pending.events as pending,
    coalesce(d.discarded, 0) as discarded,
    p.as_of,
    h.verdict as held,
    h.promotion_id as held_by
from control.tenants as t
full join ingest as i using (tenant_id)
left join control.promotion_progress as p on p.tenant_id = coalesce(t.tenant_id, i.tenant_id)
left join discards as d on d.tenant_id = t.tenant_id
left join control.holds as h on h.tenant_id = t.tenant_id and h.state = 'open'
cross join lateral (
    select count(*) as events
    from raw.countable_events as e
    where e.tenant_id = coalesce(t.tenant_id, i.tenant_id) and e.landed_xid >= coalesce(p.promoted_xid, '0')
) as pending
order by 1
"""

LAST_PROMOTION = """
select
    p.promotion_id,
    p.state,
    p.full_refresh,
    p.as_of,
    p.started_at,
    p.finished_at,
    t.promoted,
    t.held,
    p.rows_written,
    p.rows_deleted,
    p.error
from control.promotions as p
cross join lateral (
    select
        count(*) filter (where promoted) as promoted,
        count(*) filter (where verdict not in ('passed', 'released')) as held
    from control.promotion_tenants
    where promotion_id = p.promotion_id
) as t
order by p.promotion_id desc
limit 1
"""

REASONS = """
select c.tenant_id, c.promotion_id, c.boundary, c.rule, c.outcome, c.failing_rows, c.detail
from unnest(%(tenants)s::text[], %(promotions)s::bigint[]) as h (tenant_id, promotion_id)
inner join control.check_results as c using (tenant_id, promotion_id)
where c.severity = 'stop' or c.outcome = 'errored'
order by c.tenant_id, c.failing_rows desc, c.boundary, c.rule
"""


def read_overview(database: Database, *, stream: StreamCounter | None = None) -> Overview:
    """The state of all tenants and of the last promotion. Raises DatabaseUnavailable."""
    with snapshot(database, application="workbench_status") as connection:
        tenants = connection.cursor(row_factory=class_row(TenantStatus)).execute(TENANTS).fetchall()
        last = connection.cursor(row_factory=class_row(LastPromotion)).execute(LAST_PROMOTION).fetchone()
        held = [(tenant.tenant_id, tenant.held_by) for tenant in tenants if tenant.held]
        values = {"tenants": [tenant_id for tenant_id, _ in held], "promotions": [by for _, by in held]}
        reasons = connection.cursor(row_factory=class_row(Reason)).execute(REASONS, values).fetchall()
        landed = read_landed(connection, stream.topic) if stream else {}
        gaps = read_gaps(connection, stream.topic) if stream else []
    status = None
    if stream is not None:
        in_flight = stream.count(landed)
        status = StreamStatus(topic=stream.topic, problem=in_flight.problem, gaps=gaps)
        tenants = with_in_flight(tenants, in_flight)
    return Overview(tenants=tenants, total=total(tenants), last_promotion=last, reasons=reasons, stream=status)


def with_in_flight(tenants: Sequence[TenantStatus], in_flight: InFlight) -> list[TenantStatus]:
    """The tenants with what is in flight, which counts as accepted."""
    if not in_flight.known:
        return [replace(tenant, in_flight=None) for tenant in tenants]
    counted = in_flight.by_tenant()
    merged = [
        replace(tenant, accepted=tenant.accepted + events, in_flight=events)
        for tenant in tenants
        for events in (counted.pop(tenant.tenant_id, 0),)
    ]
    return sorted(merged + [_unknown(*each) for each in counted.items()], key=lambda tenant: tenant.tenant_id)


def total(tenants: Sequence[TenantStatus]) -> Total:
    """The sum; what is not known of one is not known of all."""
    known = [tenant.in_flight for tenant in tenants if tenant.in_flight is not None]
    return Total(
        accepted=sum(tenant.accepted for tenant in tenants),
        stored=sum(tenant.stored for tenant in tenants),
        duplicate=sum(tenant.duplicate for tenant in tenants),
        dead_lettered=sum(tenant.dead_lettered for tenant in tenants),
        in_flight=sum(known) if len(known) == len(tenants) else None,
        pending=sum(tenant.pending for tenant in tenants),
        discarded=sum(tenant.discarded for tenant in tenants),
    )


def _unknown(tenant_id: str, events: int) -> TenantStatus:
    """A tenant of whom nothing but events in flight is known."""
    return TenantStatus(
        tenant_id=tenant_id,
        status="unknown",
        accepted=events,
        stored=0,
        duplicate=0,
        dead_lettered=0,
        in_flight=events,
        pending=0,
        discarded=0,
        as_of=None,
        held=None,
        held_by=None,
    )
