"""The loss ledger: per tenant and hour of receipt, accepted = stored + duplicate + dead-lettered + in flight.

What has landed was counted in the transactions that landed it; what is in flight is counted by
reading it, and part of what was accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import psycopg
from msgspec.structs import replace
from psycopg.rows import class_row

from pipeline.core.clock import EPOCH, HOUR, hour_of
from pipeline.core.database import Database
from pipeline.land.ledger import Cell
from workbench.accounting.in_flight import StreamCounter
from workbench.accounting.snapshot import snapshot
from workbench.accounting.stream import read_landed

HOURS = """
select tenant_id, hour, accepted, stored, duplicate, dead_lettered, 0::bigint as in_flight
from control.ingest_ledger
where hour >= %(since)s and (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s)
order by hour, tenant_id
"""


class LedgerHour(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's events that were received in one hour, by their fate."""

    tenant_id: str
    hour: datetime
    accepted: int
    stored: int
    duplicate: int
    dead_lettered: int
    in_flight: int | None
    """None where it is not known; `accepted` is without it then."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger since an hour; `problem` says why what is in flight is not known."""

    since: datetime
    hours: Sequence[LedgerHour]
    problem: str | None = None


def read_ledger(
    database: Database, *, since: datetime, tenant_id: str | None = None, stream: StreamCounter | None = None
) -> Ledger:
    """The ledger from the hour of `since` on; without a stream nothing is in flight. Raises DatabaseUnavailable."""
    first = EPOCH + hour_of(since) * HOUR
    with snapshot(database, application="workbench_ledger") as connection:
        hours = read_hours(connection, since=first, tenant_id=tenant_id)
        landed = read_landed(connection, stream.topic) if stream else {}
    if stream is None:
        return Ledger(since=first, hours=hours)
    in_flight = stream.count(landed)
    wanted = {
        cell: events
        for cell, events in in_flight.counted.items()
        if cell[1] >= hour_of(first) and tenant_id in (None, cell[0])
    }
    merged = with_in_flight(hours, wanted if in_flight.known else None)
    return Ledger(since=first, hours=merged, problem=in_flight.problem)


def read_hours(connection: psycopg.Connection, *, since: datetime, tenant_id: str | None = None) -> list[LedgerHour]:
    """What has landed, by hour and tenant."""
    cursor = connection.cursor(row_factory=class_row(LedgerHour))
    return cursor.execute(HOURS, {"since": since, "tenant_id": tenant_id}).fetchall()


def with_in_flight(hours: Sequence[LedgerHour], counted: Mapping[Cell, int] | None) -> list[LedgerHour]:
    """The hours with what is in flight, which counts as accepted; None where that is not known."""
    if counted is None:
        return [replace(hour, in_flight=None) for hour in hours]
    rows = {(row.tenant_id, hour_of(row.hour)): row for row in hours}
    for (tenant_id, hour), events in counted.items():
        row = rows.get((tenant_id, hour)) or LedgerHour(
            tenant_id=tenant_id,
            hour=EPOCH + hour * HOUR,
            accepted=0,
            stored=0,
            duplicate=0,
            dead_lettered=0,
            in_flight=0,
        )
        rows[tenant_id, hour] = replace(row, accepted=row.accepted + events, in_flight=events)
    return sorted(rows.values(), key=lambda row: (row.hour, row.tenant_id))
