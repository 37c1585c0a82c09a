"""Slices: which tenants of a promotion a statement concerns, as a subselect on the ledger.

The verdicts in the ledger decide, not a list that travelled through this process. The promotion is
bound as %(promotion)s.
"""

from __future__ import annotations

from psycopg import sql

TENANTS = """(
    select t.tenant_id from control.promotion_tenants as t
    where t.promotion_id = %(promotion)s and {condition}
)"""

PROMOTED = "t.verdict in ('passed', 'released')"
HELD = "t.verdict not in ('passed', 'released')"
NEVER_PUBLISHED = "t.previous_promotion_id is null"


def _tenants(*conditions: str) -> sql.SQL:
    return sql.SQL(TENANTS.format(condition=" and ".join(conditions)))


CONTINUED = _tenants(PROMOTED, "not t.full_refresh")
"""Promoted; their candidate holds what is new."""
REFRESHED = _tenants(PROMOTED, "t.full_refresh")
"""Promoted; their candidate holds everything."""
RESTATED = _tenants(PROMOTED, "t.full_refresh", f"not ({NEVER_PUBLISHED})")
"""Refreshed, and something of theirs was published before."""
FIRST = _tenants(PROMOTED, "t.full_refresh", NEVER_PUBLISHED)
"""Refreshed, and nothing of theirs was published before."""

HELD_CONTINUED = _tenants(HELD, "not t.full_refresh")
HELD_RESTATED = _tenants(HELD, "t.full_refresh", f"not ({NEVER_PUBLISHED})")
HELD_FIRST = _tenants(HELD, "t.full_refresh", NEVER_PUBLISHED)
