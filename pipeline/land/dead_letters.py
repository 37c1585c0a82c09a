"""Dead letters: accepted events that could not be stored, kept with the reason and the bytes as sent.

Landing them again is in `replaying.py`; who decides on that is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
import psycopg

from pipeline.core.events import Event, Fate, Landed
from pipeline.core.tenants import TENANT_ID
from pipeline.stream.delivery import Origin, Undecodable

NO_TENANT = "(malformed)"
"""Stands in where a tenant id could not be one, and perhaps not even text; no tenant can be called so."""

# A record that is read again has its letter already.
KEEP = """
insert into raw.dead_letters (
    tenant_id, dead_letter_id, event_id, reason, detail, original, received_at,
    topic, partition, record_offset, incarnation
)
select
    letter.tenant_id, gen_random_uuid(), event_id, reason, detail, original, received_at,
    topic, partition, record_offset, coalesce(o.incarnation, 0)
from unnest(
    %(tenant_ids)s::text[], %(event_ids)s::uuid[], %(reasons)s::text[], %(details)s::text[],
    %(originals)s::bytea[], %(received)s::timestamptz[],
    %(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[]
) as letter (
    tenant_id, event_id, reason, detail, original, received_at, topic, partition, record_offset
)
left join control.stream_offsets as o using (topic, partition)
on conflict (tenant_id, topic, partition, record_offset, incarnation) where topic is not null do nothing
"""


class Reason(StrEnum):
    """Why an event was not stored; the table allows these and no others."""

    CONFLICT = "conflict"
    UNKNOWN_TENANT = "unknown_tenant"
    REFUSED_BY_DATABASE = "refused_by_database"
    UNDECODABLE = "undecodable"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not stored; `detail` says why in words that may be told to its sender."""

    tenant_id: str
    """The tenant that it is filed under."""
    event_id: UUID | None
    reason: Reason
    detail: str
    original: bytes
    received_at: datetime
    origin: Origin | None

    @property
    def landed(self) -> Landed:
        """The fate of its event."""
        fate = Fate.CONFLICT if self.reason is Reason.CONFLICT else Fate.DEAD_LETTERED
        return Landed(fate=fate, detail=self.detail)


def letter_of(event: Event, reason: Reason, detail: str, origin: Origin | None = None) -> DeadLetter:
    """The dead letter that an event becomes."""
    return DeadLetter(
        tenant_id=filed_under(event.tenant_id),
        event_id=event.event_id,
        reason=reason,
        detail=detail,
        original=event.original,
        received_at=event.received_at,
        origin=origin,
    )


def letter_of_record(record: Undecodable) -> DeadLetter:
    """The dead letter that a record becomes which holds no event."""
    return DeadLetter(
        tenant_id=filed_under(record.tenant_id),
        event_id=None,
        reason=Reason.UNDECODABLE,
        detail=record.detail,
        original=record.original,
        received_at=record.received_at,
        origin=record.origin,
    )


def filed_under(tenant_id: str) -> str:
    """The tenant id itself, if it can be one."""
    return tenant_id if TENANT_ID.fullmatch(tenant_id) else NO_TENANT


def keep(connection: psycopg.Connection, letters: Sequence[DeadLetter]) -> int:
    """Insert them; returns how many were not there yet."""
    if not letters:
        return 0
    origins = [letter.origin for letter in letters]
    return connection.execute(
        KEEP,
        {
            "tenant_ids": [letter.tenant_id for letter in letters],
            "event_ids": [letter.event_id for letter in letters],
            "reasons": [letter.reason.value for letter in letters],
            "details": [letter.detail for letter in letters],
            "originals": [letter.original for letter in letters],
            "received": [letter.received_at for letter in letters],
            "topics": [origin and origin.topic for origin in origins],
            "partitions": [origin and origin.partition for origin in origins],
            "offsets": [origin and origin.offset for origin in origins],
        },
    ).rowcount
