"""The ledger of landing: per tenant and hour of receipt how many events arrived and what became of them.

`accepted` is counted from what was handed over, the rest from what was done with it. The table
refuses a row in which the two differ, so a landing that loses count cannot commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import psycopg

from pipeline.core.clock import EPOCH, HOUR

# Both statements go through the tenants in order, at the end of every landing: landers of the same
# tenants wait for each other there and do not deadlock.
RECORD_COUNTS = """
insert into control.ingest_ledger as kept (tenant_id, hour, accepted, stored, duplicate, dead_lettered)
select tenant_id, hour, accepted, stored, duplicate, dead_lettered
from unnest(
    %(tenant_ids)s::text[], %(hours)s::timestamptz[], %(accepted)s::bigint[], %(stored)s::bigint[],
    %(duplicate)s::bigint[], %(dead_lettered)s::bigint[]
) as batch (tenant_id, hour, accepted, stored, duplicate, dead_lettered)
order by tenant_id, hour
on conflict (tenant_id, hour) do update set
    accepted = kept.accepted + excluded.accepted,
    stored = kept.stored + excluded.stored,
    duplicate = kept.duplicate + excluded.duplicate,
    dead_lettered = kept.dead_lettered + excluded.dead_lettered
"""

# The greatest, since a landing may end after one that began later.
RECORD_PROGRESS = """
insert into control.landing_progress as kept (tenant_id, landed_xid)
select tenant_id, pg_current_xact_id()
from unnest(%(tenant_ids)s::text[]) as batch (tenant_id)
order by tenant_id
on conflict (tenant_id) do update set landed_xid = greatest(kept.landed_xid, excluded.landed_xid)
"""


Cell = tuple[str, int]
"""A tenant and an hour of receipt (see `clock.hour_of`), by which the ledger counts."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's part in a batch that was received in one hour, in events."""

    tenant_id: str
    hour: int
    """See `clock.hour_of`."""
    accepted: int
    stored: int
    duplicate: int
    dead_lettered: int


def corrections(
    *, stored: Mapping[Cell, int], duplicate: Mapping[Cell, int], resolved: Mapping[Cell, int]
) -> list[Tally]:
    """The tallies that take the events of `resolved` letters out, and count them as what they are now."""
    return [
        Tally(
            tenant_id=cell[0],
            hour=cell[1],
            accepted=stored.get(cell, 0) + duplicate.get(cell, 0) - resolved.get(cell, 0),
            stored=stored.get(cell, 0),
            duplicate=duplicate.get(cell, 0),
            dead_lettered=-resolved.get(cell, 0),
        )
        for cell in sorted({*stored, *duplicate, *resolved})
    ]


def record_counts(connection: psycopg.Connection, tallies: Sequence[Tally]) -> None:
    """Add the tallies to those of their hours. Raises CheckViolation where one does not add up."""
    connection.execute(
        RECORD_COUNTS,
        {
            "tenant_ids": [tally.tenant_id for tally in tallies],
            "hours": [EPOCH + tally.hour * HOUR for tally in tallies],
            "accepted": [tally.accepted for tally in tallies],
            "stored": [tally.stored for tally in tallies],
            "duplicate": [tally.duplicate for tally in tallies],
            "dead_lettered": [tally.dead_lettered for tally in tallies],
        },
    )


def record_progress(connection: psycopg.Connection, tenant_ids: Iterable[str]) -> None:
    """Note that this transaction stored rows of these tenants."""
    connection.execute(RECORD_PROGRESS, {"tenant_ids": list(tenant_ids)})
