"""Deliveries for tests, and everything that landing one may change in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from pipeline.core.events import Event, decode_event
from pipeline.core.settings import IngestLimits
from pipeline.stream.delivery import Delivery, Move, Origin, Undecodable
from tests.factories import MOMENT, event

TOPIC = "events"
NOTHING: Mapping[int, int] = {}

TABLES = {
    "rows": "raw.usage_events",
    "letters": "raw.dead_letters",
    "ledger": "control.ingest_ledger",
    "progress": "control.landing_progress",
    "offsets": "control.stream_offsets",
    "gaps": "control.stream_gaps",
    "audit": "control.audit_log",
}
UNBALANCED = """
with landed as (
    select tenant_id, date_trunc('hour', received_at) as hour, count(*) as stored
    from raw.usage_events
    group by 1, 2
), kept as (
    select tenant_id, date_trunc('hour', received_at) as hour, count(*) as dead_lettered
    from raw.dead_letters
    where resolved_at is null
    group by 1, 2
)
select tenant_id, hour, l.accepted, l.stored, landed.stored, l.dead_lettered, kept.dead_lettered
from control.ingest_ledger as l
full join landed using (tenant_id, hour)
full join kept using (tenant_id, hour)
where
    (coalesce(l.stored, 0), coalesce(l.dead_lettered, 0))
    is distinct from (coalesce(landed.stored, 0), coalesce(kept.dead_lettered, 0))
    or l.accepted is distinct from l.stored + l.duplicate + l.dead_lettered
"""


class Junk(NamedTuple):
    """A record that holds no event."""

    original: bytes = b"junk"
    key: str = "acme"
    received_at: datetime = MOMENT


Record = Event | Junk


def deliver(*records: tuple[int, Record], at: Mapping[int, int] = NOTHING, topic: str = TOPIC) -> Delivery:
    """Records of these partitions one after the other; the first of a partition is `at` its offset, or at 0."""
    events: list[Event] = []
    origins: list[Origin] = []
    undecodable: list[Undecodable] = []
    following: dict[int, int] = {}
    for partition, record in records:
        offset = following.get(partition, at.get(partition, 0))
        following[partition] = offset + 1
        origin = Origin(topic, partition, offset)
        if isinstance(record, Junk):
            undecodable.append(
                Undecodable(
                    tenant_id=record.key,
                    original=record.original,
                    received_at=record.received_at,
                    detail="the record is no event: it is no MessagePack",
                    origin=origin,
                )
            )
        else:
            events.append(record)
            origins.append(origin)
    moves = {partition: Move(expected=at.get(partition, 0), next=end) for partition, end in following.items()}
    return Delivery(topic=topic, events=events, origins=origins, undecodable=undecodable, moves=moves)


def sent(tenant_id: str = "acme", *, event_id: UUID | None = None, text: str = "", hours: int = 0) -> Event:
    """An event as the door makes it of a JSON text."""
    raw = f'{{"event_type":"page_view","event_id":"{event_id or uuid4()}","user_id":"u{text}"}}'
    return decode_event(
        raw.encode(),
        tenant_id=tenant_id,
        received_at=MOMENT + timedelta(hours=hours),
        limits=IngestLimits(),
        allowed_types=None,
        new_id=uuid4,
    )


def record_of(tenant_id: str, key: int, content: int) -> Record:
    """A record of this event id: 0 is plain, 1 differs from it, 2 cannot be stored, 3 is no event."""
    if content == 3:
        return Junk(b"junk", key=tenant_id)
    user_id = ["u1", "other", "poison\0"][content]
    return event(tenant_id=tenant_id, event_id=UUID(int=key), user_id=user_id)


def everything(admin: psycopg.Connection) -> dict[str, list[str]]:
    """All that landing may change, row by row and column by column, as the database writes it out."""
    return {
        name: [row for (row,) in admin.execute(f"select t::text from {table} as t order by 1").fetchall()]  # noqa: S608
        for name, table in TABLES.items()
    }


def offsets(admin: psycopg.Connection) -> dict[tuple[str, int], int]:
    """The next record to land, by topic and partition."""
    rows = admin.execute("select topic, partition, next_offset from control.stream_offsets").fetchall()
    return {(topic, partition): offset for topic, partition, offset in rows}


def letters(admin: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Dead letters by origin: topic, partition, offset, tenant, reason, original, and the resolution."""
    return admin.execute(
        "select topic, partition, record_offset, tenant_id, reason, original, resolution "
        "from raw.dead_letters order by topic, partition, record_offset, tenant_id"
    ).fetchall()


def ledger(admin: psycopg.Connection) -> dict[str, tuple[int, ...]]:
    """Accepted, stored, duplicate and dead-lettered of each tenant, over all hours."""
    rows: Sequence[tuple[Any, ...]] = admin.execute(
        "select tenant_id, sum(accepted)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int "
        "from control.ingest_ledger group by 1"
    ).fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def assert_balanced(admin: psycopg.Connection) -> None:
    """Promise 1, per tenant and hour: the ledger adds up, and says how many rows and open letters there are."""
    assert admin.execute(UNBALANCED).fetchall() == []
