"""Dead letters: accepted events that could not be stored, kept with the reason and the bytes as sent.

Who reads and who resolves them is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import psycopg

from pipeline.core.events import Event, Fate, Landed
from pipeline.core.tenants import TENANT_ID

NO_TENANT = "(malformed)"
"""Stands in where a tenant id could not be one, and perhaps not even text; no tenant can be called so."""

KEEP = """
insert into raw.dead_letters (tenant_id, dead_letter_id, event_id, reason, detail, original, received_at)
select tenant_id, gen_random_uuid(), event_id, reason, detail, original, received_at
from unnest(
    %(tenant_ids)s::text[], %(event_ids)s::uuid[], %(reasons)s::text[],
    %(details)s::text[], %(originals)s::bytea[], %(received)s::timestamptz[]
) as letter (tenant_id, event_id, reason, detail, original, received_at)
"""


class Reason(StrEnum):
    """Why an event was not stored; the table allows these and no others."""

    CONFLICT = "conflict"
    UNKNOWN_TENANT = "unknown_tenant"
    REFUSED_BY_DATABASE = "refused_by_database"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is not stored; `detail` says why in words that may be told to its sender."""

    event: Event
    reason: Reason
    detail: str

    @property
    def tenant_id(self) -> str:
        """The tenant that it is filed under."""
        return filed_under(self.event.tenant_id)

    @property
    def landed(self) -> Landed:
        """The fate of its event."""
        fate = Fate.CONFLICT if self.reason is Reason.CONFLICT else Fate.DEAD_LETTERED
        return Landed(fate=fate, detail=self.detail)


def filed_under(tenant_id: str) -> str:
    """The tenant id itself, if it can be one."""
    return tenant_id if TENANT_ID.fullmatch(tenant_id) else NO_TENANT


def keep(connection: psycopg.Connection, letters: Sequence[DeadLetter]) -> None:
    """Insert them all."""
    connection.execute(
        KEEP,
        {
            "tenant_ids": [letter.tenant_id for letter in letters],
            "event_ids": [letter.event.event_id for letter in letters],
            "reasons": [letter.reason.value for letter in letters],
            "details": [letter.detail for letter in letters],
            "originals": [letter.event.original for letter in letters],
            "received": [letter.event.received_at for letter in letters],
        },
    )
