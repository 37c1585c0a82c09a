"""The audit log: what people did to data by hand. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.types.json import Jsonb

ADD = "insert into control.audit_log (actor, action, details) values (%(actor)s, %(action)s, %(details)s)"


def record(connection: psycopg.Connection, *, actor: str, action: str, details: Mapping[str, object]) -> None:
    """Add what somebody did, of all tenants."""
    connection.execute(ADD, {"actor": actor, "action": action, "details": Jsonb(dict(details))})
