"""Whether a promotion would find anything to do, for a loop that has just started."""

from __future__ import annotations

import psycopg

# A held tenant stays pending: its progress is not moved, so it is tried again.
PENDING = """
select exists (
    select from control.landing_progress as l
    left join control.promotion_progress as p using (tenant_id)
    where l.landed_xid >= coalesce(p.promoted_xid, '0')
)
"""


def is_pending(connection: psycopg.Connection) -> bool:
    """Whether rows were landed that no promotion has published. Any role that reads the ledgers may ask."""
    row = connection.execute(PENDING).fetchone()
    return row is not None and bool(row[0])
