"""The audit log: what people did to data by hand. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.types.json import Jsonb

ADD = """
insert into control.audit_log (actor, action, tenant_id, details)
values (%(actor)s, %(action)s, %(tenant)s, %(details)s)
"""


def record(
    connection: psycopg.Connection,
    *,
    actor: str,
    action: str,
    tenant_id: str | None = None,
    details: Mapping[str, object],
) -> None:
    """Add what somebody did to a tenant's data, or to all, within the caller's transaction."""
    values = {"actor": actor, "action": action, "tenant": tenant_id, "details": Jsonb(dict(details))}
    connection.execute(ADD, values)
