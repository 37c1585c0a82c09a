"""Planning: which tenants a promotion takes up, and from where.

The rule is a pure function of what the ledger knows of a tenant; how many rows that makes is
counted by the database, through an index that holds new rows together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from pipeline.core.errors import PromotionError, TenantError
from pipeline.promote import ledger
from pipeline.promote.promotion import Plan, Window


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the ledger knows of a tenant: the latest landing, and up to where (exclusive) it is promoted.

    The last two are None before its first promotion.
    """

    tenant_id: str
    landed_xid: int
    promoted_xid: int | None
    models_fingerprint: str | None


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a tenant's window begins."""

    tenant_id: str
    from_xid: int
    full_refresh: bool


def choose_starts(tenants: Iterable[Progress], *, models_fingerprint: str, full_refresh: bool) -> list[Start]:
    """The tenants that may have something to promote, in the order given.

    A tenant begins anew if that is asked for, or if its published rows are not of these models: the
    case of a tenant never promoted, and of one that was held when the models changed. Otherwise it
    goes on where it was promoted to, if anything was landed since.
    """
    starts = []
    for tenant in tenants:
        if full_refresh or tenant.promoted_xid is None or tenant.models_fingerprint != models_fingerprint:
            starts.append(Start(tenant_id=tenant.tenant_id, from_xid=0, full_refresh=True))
        elif tenant.landed_xid >= tenant.promoted_xid:
            starts.append(Start(tenant_id=tenant.tenant_id, from_xid=tenant.promoted_xid, full_refresh=False))
    return starts


# Suspended tenants are in it: what they sent before is theirs.
READ_PROGRESS = """
select
    l.tenant_id,
    l.landed_xid::text::bigint as landed_xid,
    p.promoted_xid::text::bigint as promoted_xid,
    p.models_fingerprint
from control.landing_progress as l
left join control.promotion_progress as p using (tenant_id)
where %(tenants)s::text[] is null or l.tenant_id = any(%(tenants)s)
order by l.tenant_id
"""

# A row that is visible was landed below the snapshot's xmax, in a cluster that gave out its id.
FROM_ANOTHER_CLUSTER = """
select l.landed_xid::text::bigint
from control.landing_progress as l
where l.landed_xid >= pg_snapshot_xmax(pg_current_snapshot())
order by l.landed_xid desc
limit 1
"""

UNKNOWN = """
select asked.tenant_id
from unnest(%(tenants)s::text[]) as asked (tenant_id)
left join control.tenants as t using (tenant_id)
where t.tenant_id is null
order by 1
"""

# The count is one probe per tenant of the index (tenant_id, landed_xid).
OPEN_WINDOWS = """
insert into control.promotion_tenants (tenant_id, promotion_id, from_xid, full_refresh, raw_rows)
select s.tenant_id, p.promotion_id, s.from_xid, s.full_refresh, pending.raw_rows
from control.promotions as p
cross join unnest(%(tenants)s::text[], %(from_xids)s::text[]::xid8[], %(full_refresh)s::boolean[])
    as s (tenant_id, from_xid, full_refresh)
cross join lateral (
    select count(*) as raw_rows
    from raw.usage_events as e
    where e.tenant_id = s.tenant_id and e.landed_xid >= s.from_xid and e.landed_xid < p.bound_xid
) as pending
where p.promotion_id = %(promotion)s and pending.raw_rows > 0
returning tenant_id, from_xid::text::bigint as from_xid, full_refresh, raw_rows
"""


def make_plan(
    connection: psycopg.Connection,
    *,
    tenants: Sequence[str] | None,
    full_refresh: bool,
    as_of: datetime,
    models_fingerprint: str,
) -> Plan:
    """Begin a promotion in the ledger, with its bound and windows; without windows it has ended already.

    One transaction. Raises TenantError for a tenant that was never added, and PromotionError where
    landed rows carry transaction ids that this cluster has not reached.
    """
    asked = None if tenants is None else list(tenants)
    with connection.transaction():
        _require_known(connection, asked)
        _require_own_ids(connection)
        promotion_id = ledger.begin(
            connection, tenants=asked, full_refresh=full_refresh, as_of=as_of, models_fingerprint=models_fingerprint
        )
        known = connection.cursor(row_factory=class_row(Progress)).execute(READ_PROGRESS, {"tenants": asked})
        starts = choose_starts(known, models_fingerprint=models_fingerprint, full_refresh=full_refresh)
        windows = _open_windows(connection, promotion_id, starts)
        if not windows:
            ledger.end_without_news(connection, promotion_id)
    return Plan(promotion_id=promotion_id, as_of=as_of, models_fingerprint=models_fingerprint, windows=windows)


def _require_known(connection: psycopg.Connection, tenants: list[str] | None) -> None:
    unknown = [row[0] for row in connection.execute(UNKNOWN, {"tenants": tenants})]
    if unknown:
        raise TenantError(
            f"There is no tenant {', '.join(unknown)}; nothing was promoted.",
            remedy="`workbench tenants list` shows them.",
        )


def _require_own_ids(connection: psycopg.Connection) -> None:
    row = connection.execute(FROM_ANOTHER_CLUSTER).fetchone()
    if row is None:
        return
    epoch, xid = divmod(row[0] + 1, 2**32)
    raise PromotionError(
        "Landed rows carry transaction ids of another cluster: this one was restored from a logical dump. "
        "Nothing was promoted.",
        remedy="Stop the server and raise its next transaction id past theirs: "
        f"pg_resetwal --epoch={epoch} --next-transaction-id={xid}. A physical restore does not need it.",
    )


def _open_windows(connection: psycopg.Connection, promotion_id: int, starts: Sequence[Start]) -> tuple[Window, ...]:
    values = {
        "promotion": promotion_id,
        "tenants": [start.tenant_id for start in starts],
        "from_xids": [str(start.from_xid) for start in starts],
        "full_refresh": [start.full_refresh for start in starts],
    }
    rows = connection.cursor(row_factory=class_row(Window)).execute(OPEN_WINDOWS, values)
    return tuple(sorted(rows, key=lambda window: window.tenant_id))
