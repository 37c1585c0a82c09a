"""Storing what was staged: by plain insertion while all keys are new, by merging where some are taken.

Plain insertion costs a fifth less than `on conflict`, and more than twice as much where it meets a
taken key and has to be undone. So the way that suited lately is taken first (`docs/performance.md`
has the figures).
"""

from __future__ import annotations

import psycopg
from psycopg import errors

from pipeline.core.clock import hour_of
from pipeline.land.ledger import Cell

MERGES_AFTER_A_TAKEN_KEY = 8
"""So many batches in a row must be free of taken keys before plain insertion is tried again."""

# Sorted, so that landers with keys in common wait for each other instead of deadlocking, and so that
# neighbours go to the same index page.
INSERT = """
with stored as (
    insert into raw.usage_events (
        tenant_id, event_id, event_type, occurred_at, received_at,
        user_id, session_id, properties, payload_hash
    )
    select
        tenant_id, event_id, event_type, occurred_at, received_at,
        user_id, session_id, properties, payload_hash
    from pg_temp.arrivals
    order by tenant_id, event_id, position
    returning tenant_id, received_at
)
select tenant_id, date_trunc('hour', received_at), count(*) from stored group by 1, 2
"""
# Of several arrivals with one key the first is stored.
MERGE = INSERT.replace("    returning", "    on conflict (tenant_id, event_id) do nothing\n    returning")


class Storer:
    """Stores staged arrivals whose keys are free; it remembers how that went, for one session."""

    def __init__(self) -> None:
        self._merges_to_go = 0

    def store(self, connection: psycopg.Connection, staged: int) -> dict[Cell, int]:
        """How many rows were stored of the `staged` ones, by tenant and hour of receipt."""
        if not self._merges_to_go:
            try:
                with connection.transaction():
                    return _run(connection, INSERT)
            except errors.UniqueViolation:
                self._merges_to_go = MERGES_AFTER_A_TAKEN_KEY
        stored = _run(connection, MERGE)
        if sum(stored.values()) < staged:
            self._merges_to_go = MERGES_AFTER_A_TAKEN_KEY
        else:
            self._merges_to_go -= 1
        return stored


def _run(connection: psycopg.Connection, statement: str) -> dict[Cell, int]:
    rows = connection.execute(statement).fetchall()
    return {(tenant_id, hour_of(hour)): count for tenant_id, hour, count in rows}
