"""Notifications as the operator reads them; delivering them is in `pipeline/notify/`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg.rows import class_row, scalar_row

from pipeline.core.database import Database, ServiceRole

APPLICATION = "workbench_notifications"

State = Literal["pending", "delivered", "abandoned"]

ALL = """
with notices as (
    select
        notification_id, kind, tenant_id, promotion_id, created_at, attempts, last_error, payload,
        case
            when delivered_at is not null then 'delivered'
            when abandoned_at is not null then 'abandoned'
            else 'pending'
        end as state,
        coalesce(delivered_at, abandoned_at) as settled_at,
        case when delivered_at is null and abandoned_at is null then next_attempt_at end as next_attempt_at
    from control.notifications
)
"""
CHOSEN = "where %(state)s::text is null or state = %(state)s"
LIST = f"{ALL} select * from notices {CHOSEN} order by created_at desc, notification_id limit %(limit)s"  # noqa: S608
COUNT = f"{ALL} select count(*) from notices {CHOSEN}"  # noqa: S608


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notification and what became of it so far."""

    notification_id: UUID
    kind: str
    tenant_id: str | None
    promotion_id: int | None
    state: State
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    """When it is tried next at the earliest; None once it is settled."""
    settled_at: datetime | None
    last_error: str | None
    payload: Mapping[str, Any]


def list_notices(database: Database, *, state: str | None, limit: int) -> tuple[list[Notice], int]:
    """The newest notifications of a state, or of any, and how many there are. Raises DatabaseUnavailable."""
    values = {"state": state, "limit": limit}
    with database.connect(ServiceRole.STEWARD, application=APPLICATION) as connection:
        notices = connection.cursor(row_factory=class_row(Notice)).execute(LIST.encode(), values).fetchall()
        total = connection.cursor(row_factory=scalar_row).execute(COUNT.encode(), values).fetchone()
    return notices, int(total or 0)
