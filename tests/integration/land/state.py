"""What landing left in the database, read as the steward would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from pipeline.core.events import Event, Fate, Landed

Key = tuple[str, UUID]

ROWS = """
select
    tenant_id, event_id, event_type, occurred_at, received_at,
    user_id, session_id, properties::text, payload_hash
from raw.usage_events
where tenant_id = any(%s)
"""
LETTERS = "select tenant_id, event_id, reason, original from raw.dead_letters where tenant_id = any(%s)"
LEDGER = """
select tenant_id, sum(accepted)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int
from control.ingest_ledger
where tenant_id = any(%s)
group by tenant_id
"""


@dataclass(frozen=True, kw_only=True)
class State:
    """Rows by key, dead letters, and the ledger: accepted, stored, duplicate, dead-lettered by tenant."""

    rows: dict[Key, tuple[Any, ...]]
    letters: Counter[tuple[str, UUID, str, bytes]]
    ledger: dict[str, tuple[int, ...]]


def read_state(steward: psycopg.Connection, tenants: Sequence[str]) -> State:
    """The state of these tenants; the connection is the steward's, in autocommit."""
    rows = steward.execute(ROWS, (tenants,)).fetchall()
    letters = steward.execute(LETTERS, (tenants,)).fetchall()
    ledger = steward.execute(LEDGER, (tenants,)).fetchall()
    return State(
        rows={(row[0], row[1]): row[2:] for row in rows},
        letters=Counter((row[0], row[1], row[2], row[3]) for row in letters),
        ledger={row[0]: row[1:] for row in ledger},
    )


def as_row(event: Event) -> tuple[Any, ...]:
    """The row that an event becomes, as `State.rows` holds it; its properties have one key or none."""
    return (
        event.event_type,
        event.occurred_at,
        event.received_at,
        event.user_id,
        event.session_id,
        event.properties.decode().replace('":', '": '),
        event.payload_hash,
    )


def fates_of(landed: Sequence[Landed]) -> list[Fate]:
    """The fates without their details."""
    return [each.fate for each in landed]
