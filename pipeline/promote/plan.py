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

from pipeline.core.errors import HoldError, PromotionError, TenantError
from pipeline.promote import ledger
from pipeline.promote.promotion import Basis, Plan, Request, Window


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the ledger knows of a tenant: the latest landing, and up to where (exclusive) it is promoted.

    `promoted_xid` and `models_fingerprint` are None before it was ever judged, the fields of its open
    hold where it is not held.
    """

    tenant_id: str
    landed_xid: int
    promoted_xid: int | None
    models_fingerprint: str | None
    held_for: str | None = None
    """The verdict of the hold."""
    held_bound_xid: int | None = None
    held_models_fingerprint: str | None = None
    held_rules_fingerprint: str | None = None
    held_for_everything: bool = False
    """What is held, or was undone, is a full refresh: whatever ends the hold is one too."""

    @property
    def is_rolled_back(self) -> bool:
        """Whether it waits for a steward since its promotion was undone."""
        return self.held_for == ROLLED_BACK

    def is_settled(self, basis: Basis) -> bool:
        """Whether judging it again must give the verdict that holds it: same rows, same models, same rules."""
        return (
            self.held_for == FAILED
            and self.held_bound_xid is not None
            and self.landed_xid < self.held_bound_xid
            and self.held_models_fingerprint == basis.models_fingerprint
            and self.held_rules_fingerprint == basis.rules_fingerprint()
        )


FAILED, ROLLED_BACK = "failed", "rolled_back"


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a tenant's window begins."""

    tenant_id: str
    from_xid: int
    full_refresh: bool


def waits(tenant: Progress, request: Request, basis: Basis) -> bool:
    """Whether a held tenant is left alone: nothing that decides its verdict has changed, and nobody asks for it."""
    if request.decided:
        return False
    return tenant.is_rolled_back or (request.tenants is None and not request.full_refresh and tenant.is_settled(basis))


def choose_starts(tenants: Iterable[Progress], *, models_fingerprint: str, full_refresh: bool) -> list[Start]:
    """The tenants that may have something to promote, in the order given.

    A tenant begins anew if that is asked for, if its published rows are not of these models (the case
    of a tenant never promoted, and of one that was held when the models changed), or if it is held for
    beginning anew: nothing else may be pending. Otherwise it
    goes on where it was promoted to, if anything was landed since.
    """
    starts = []
    for tenant in tenants:
        is_of_these_models = tenant.promoted_xid is not None and tenant.models_fingerprint == models_fingerprint
        if full_refresh or tenant.held_for_everything or not is_of_these_models:
            starts.append(Start(tenant_id=tenant.tenant_id, from_xid=0, full_refresh=True))
        elif tenant.promoted_xid is not None and tenant.landed_xid >= tenant.promoted_xid:
            starts.append(Start(tenant_id=tenant.tenant_id, from_xid=tenant.promoted_xid, full_refresh=False))
    return starts


# Suspended tenants are in it: what they sent before is theirs.
READ_PROGRESS = """
select
    l.tenant_id,
    l.landed_xid::text::bigint as landed_xid,
    p.promoted_xid::text::bigint as promoted_xid,
    p.models_fingerprint,
    h.verdict as held_for,
    h.bound_xid::text::bigint as held_bound_xid,
    h.models_fingerprint as held_models_fingerprint,
    h.rules_fingerprint as held_rules_fingerprint,
    exists (
        select from control.promotion_tenants as t
        where t.tenant_id = h.tenant_id and t.promotion_id = any(h.promotions) and t.full_refresh
    ) as held_for_everything
from control.landing_progress as l
left join control.promotion_progress as p using (tenant_id)
left join control.holds as h on h.tenant_id = l.tenant_id and h.state = 'open'
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

# The count is one probe per tenant of the index (tenant_id, landed_xid). The progress that undoing
# would restore is noted beside it.
OPEN_WINDOWS = """
insert into control.promotion_tenants (
    tenant_id, promotion_id, from_xid, full_refresh, raw_rows,
    previous_xid, previous_promotion_id, previous_as_of, previous_models_fingerprint
)
select
    s.tenant_id, p.promotion_id, s.from_xid, s.full_refresh, pending.raw_rows,
    g.promoted_xid, g.promotion_id, g.as_of, g.models_fingerprint
from control.promotions as p
cross join unnest(%(tenants)s::text[], %(from_xids)s::text[]::xid8[], %(full_refresh)s::boolean[])
    as s (tenant_id, from_xid, full_refresh)
left join control.promotion_progress as g on g.tenant_id = s.tenant_id
cross join lateral (
    select count(*) as raw_rows
    from raw.countable_events as e
    where e.tenant_id = s.tenant_id and e.landed_xid >= s.from_xid and e.landed_xid < p.bound_xid
) as pending
where p.promotion_id = %(promotion)s and pending.raw_rows > 0
returning tenant_id, from_xid::text::bigint as from_xid, full_refresh, raw_rows
"""


def make_plan(connection: psycopg.Connection, request: Request, *, as_of: datetime, basis: Basis) -> Plan:
    """Begin a promotion in the ledger, with its bound and windows; without windows it has ended already.

    One transaction. Raises TenantError for a tenant that was never added, HoldError for one that is
    asked for though its promotion was undone, and PromotionError where landed rows carry transaction
    ids that this cluster has not reached.
    """
    asked = None if request.tenants is None else list(request.tenants)
    with connection.transaction():
        _require_known(connection, asked)
        _require_own_ids(connection)
        begun = ledger.begin(connection, request, as_of=as_of, basis=basis)
        known = connection.cursor(row_factory=class_row(Progress)).execute(READ_PROGRESS, {"tenants": asked}).fetchall()
        waiting = [tenant for tenant in known if waits(tenant, request, basis)]
        _require_decided(request, waiting)
        starts = choose_starts(
            (tenant for tenant in known if tenant not in waiting),
            models_fingerprint=basis.models_fingerprint,
            full_refresh=request.full_refresh,
        )
        windows = _open_windows(connection, begun.promotion_id, starts)
        if not windows:
            ledger.end_without_news(connection, begun.promotion_id)
    return Plan(
        promotion_id=begun.promotion_id,
        as_of=begun.as_of,
        models_fingerprint=basis.models_fingerprint,
        windows=windows,
        waiting=tuple(tenant.tenant_id for tenant in waiting),
    )


def _require_decided(request: Request, waiting: Sequence[Progress]) -> None:
    """A tenant that was rolled back and is asked for by name: say what it waits for."""
    if request.tenants is not None and waiting:
        names = ", ".join(tenant.tenant_id for tenant in waiting)
        raise HoldError(
            f"A promotion of {names} was undone, so it is not promoted again before somebody decides.",
            remedy=f"`workbench holds show {waiting[0].tenant_id}`, then `holds rerun`, `release` or `discard`.",
        )


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
