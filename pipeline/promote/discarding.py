"""Discarding: rows that a tenant is held for are marked, kept, and never promoted again.

Only rows that are in no mart can be discarded: landed since the tenant's last promotion, and before
the bound of what was judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg

from pipeline.core import audit
from pipeline.core.errors import HoldError
from pipeline.promote import holds
from pipeline.promote.holds import OpenHold

MARK = """
insert into raw.discarded_events (tenant_id, event_id, hold_id)
select e.tenant_id, e.event_id, %(hold)s
from raw.countable_events as e
inner join control.promotion_progress as g on g.tenant_id = e.tenant_id
where
    e.tenant_id = %(tenant)s
    and e.landed_xid >= g.promoted_xid
    and e.landed_xid < %(bound)s::text::xid8
    and (%(events)s::uuid[] is null or e.event_id = any(%(events)s))
returning event_id
"""

REMAINING = """
select exists (
    select from raw.countable_events as e
    inner join control.promotion_progress as g on g.tenant_id = e.tenant_id
    where e.tenant_id = %(tenant)s and e.landed_xid >= g.promoted_xid and e.landed_xid < %(bound)s::text::xid8
)
"""

# All of it is settled: the next promotion begins after it.
MOVE_ON = """
update control.promotion_progress set
    promoted_xid = greatest(promoted_xid, %(bound)s::text::xid8),
    as_of = case when promotion_id is not null then greatest(as_of, %(as_of)s) end,
    held_since = null
where tenant_id = %(tenant)s
"""


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """What was discarded; JSON-able. With `closed` false the rest of the hold waits to be judged again."""

    tenant_id: str
    hold_id: int
    events: int
    closed: bool


def discard(
    connection: psycopg.Connection, tenant_id: str, *, events: Sequence[UUID] | None, actor: str, reason: str
) -> Discarded:
    """Discard what the tenant is held for, or only `events` of it, in one transaction.

    Raises HoldError, and changes nothing, if the tenant is not held, if the checks know nothing of its
    data, or if an event is no part of what is held.
    """
    with connection.transaction():
        if events is not None and not events:
            raise HoldError("No event is named; nothing was discarded.", remedy="Name events, or discard all of it.")
        hold = holds.find(connection, tenant_id)
        _require_judged(hold)
        values = {
            "tenant": tenant_id,
            "hold": hold.hold_id,
            "bound": str(hold.bound_xid),
            "as_of": hold.as_of,
            "events": None if events is None else list(events),
        }
        marked = {row[0] for row in connection.execute(MARK, values)}
        _require_marked(hold, marked, events)
        closed = connection.execute(REMAINING, values).fetchone() == (False,)
        if closed:
            connection.execute(MOVE_ON, values)
            holds.discard(connection, hold, actor=actor, reason=reason)
        details = {
            "hold": hold.hold_id,
            "promotion": hold.promotion_id,
            "events": len(marked),
            "reason": reason,
            "event_ids": sorted(map(str, events or ())),
        }
        audit.record(connection, actor=actor, action="discard events", tenant_id=tenant_id, details=details)
    return Discarded(tenant_id=tenant_id, hold_id=hold.hold_id, events=len(marked), closed=closed)


def _require_judged(hold: OpenHold) -> None:
    if hold.verdict in ("errored", "unseen"):
        raise HoldError(
            f"{hold.tenant_id} is held as {hold.verdict}: the checks know nothing of its data that could condemn it.",
            remedy=f"`workbench holds rerun {hold.tenant_id}` judges it again.",
        )


def _require_marked(hold: OpenHold, marked: set[UUID], events: Sequence[UUID] | None) -> None:
    missing = sorted(set(events or ()) - marked, key=str)
    if missing:
        raise HoldError(
            f"{len(missing):,} of the events are no part of what {hold.tenant_id} is held for, the first {missing[0]}; "
            "nothing was discarded.",
            remedy=f"`workbench holds show {hold.tenant_id}` shows failing events.",
        )
    if not marked:
        raise HoldError(
            f"No row of {hold.tenant_id} is waiting: what fails is the rebuild of rows that are published.",
            remedy="Correct the models or the rules, then run `workbench promote`.",
        )
