"""Storing what was staged: by plain insertion while all keys are new, by merging where some are taken.

Plain insertion costs a fifth less than `on conflict`, and more than twice as much where it meets a
taken key and has to be undone. So the way that suited lately is taken first (`docs/performance.md`
has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from psycopg import errors

from pipeline.core.clock import hour_of
from pipeline.land.ledger import Cell

MERGES_AFTER_A_TAKEN_KEY = 8
"""So many batches in a row must be free of taken keys before plain insertion is tried again."""

# Sorted, so that landers with keys in common wait for each other instead of deadlocking, and so that
# neighbours go to the same index page.
STORE = """
    insert into raw.usage_events (
        tenant_id, event_id, event_type, occurred_at, received_at,
        user_id, session_id, properties, payload_hash
    )
    select
        tenant_id, event_id, event_type, occurred_at, received_at,
        user_id, session_id, properties, payload_hash
    from pg_temp.arrivals
    order by tenant_id, event_id, position
"""
COUNT = "select tenant_id, date_trunc('hour', received_at), count(*), null::int from stored group by 1, 2"
INSERT = f"""
with stored as ({STORE}
    returning tenant_id, received_at
)

{COUNT}
"""  # of constants
# Of several arrivals with one key the first is stored. "not in" is a hashed look at what was stored,
# which a join would not be: this session's joins probe indexes.
MERGE = f"""
with stored as ({STORE}
    on conflict (tenant_id, event_id) do nothing
    returning tenant_id, event_id, received_at
)

{COUNT}
union all
select null, null, null, position from pg_temp.arrivals
where (tenant_id, event_id) not in (select tenant_id, event_id from stored)
"""  # noqa: S608  # of constants


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored of a batch."""

    rows: Mapping[Cell, int]
    """By tenant and hour of receipt."""
    taken: Sequence[int]
    """Positions of arrivals whose keys were there before the batch."""

    @property
    def accounted(self) -> int:
        """Arrivals that are accounted for; the rest have keys in common with others of the batch."""
        return sum(self.rows.values()) + len(self.taken)


class Storer:
    """Stores staged arrivals whose keys are free; it remembers how that went, for one session."""

    def __init__(self) -> None:
        self._merges_to_go = 0

    def store(self, connection: psycopg.Connection, staged: int) -> Stored:
        """Store what can be stored of the `staged` arrivals."""
        if not self._merges_to_go:
            try:
                with connection.transaction():
                    return _run(connection, INSERT)
            except errors.UniqueViolation:
                self._merges_to_go = MERGES_AFTER_A_TAKEN_KEY
        stored = _run(connection, MERGE)
        if sum(stored.rows.values()) < staged:
            self._merges_to_go = MERGES_AFTER_A_TAKEN_KEY
        else:
            self._merges_to_go -= 1
        return stored


def _run(connection: psycopg.Connection, statement: str) -> Stored:
    found = connection.execute(statement).fetchall()
    return Stored(
        rows={(tenant_id, hour_of(hour)): count for tenant_id, hour, count, _ in found if tenant_id is not None},
        taken=[position for *_, position in found if position is not None],
    )
