"""The outbox as tests fill it and look into it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from pipeline.core.database import Database, ServiceRole
from pipeline.notify.delivery import Delivered, Deliverer
from pipeline.notify.endpoint import Endpoint
from tests.integration.notify.receiver import SECRET

ADD = """
insert into control.notifications (kind, tenant_id, payload, created_at, next_attempt_at)
values (%(kind)s, %(tenant)s, %(payload)s, now() - %(age)s, now() - %(age)s)
returning notification_id::text
"""
ROW = """
select delivered_at, abandoned_at, attempts, last_error, next_attempt_at - now() as due_in
from control.notifications where notification_id::text = %s
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of a notification."""

    delivered_at: datetime | None
    abandoned_at: datetime | None
    attempts: int
    last_error: str | None
    due_in: timedelta

    @property
    def state(self) -> str:
        return "delivered" if self.delivered_at else "abandoned" if self.abandoned_at else "pending"


class Outbox:
    """`control.notifications` of a test's database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def connect(self) -> psycopg.Connection:
        """As who delivers."""
        return self.database.connect(ServiceRole.PUBLISHER, autocommit=True)

    def add(
        self,
        tenant: str | None = "acme",
        *,
        kind: str = "tenant.held",
        payload: dict[str, Any] | None = None,
        age: timedelta = timedelta(),
    ) -> str:
        """Add a notification as the publisher does; its id."""
        data = {"tenant": tenant, "promotion": 12} if payload is None else payload
        values = {"kind": kind, "tenant": tenant, "payload": Jsonb(data), "age": age}
        with self.connect() as connection:
            return str(connection.execute(ADD, values).fetchall()[0][0])

    def row(self, notification_id: str) -> Row:
        """What is known of one."""
        with self.connect() as connection:
            return connection.cursor(row_factory=class_row(Row)).execute(ROW, (notification_id,)).fetchall()[0]

    def ids(self) -> set[str]:
        """All that there are."""
        with self.connect() as connection:
            return {row[0] for row in connection.execute("select notification_id::text from control.notifications")}

    def let_time_pass(self) -> None:
        """Make everything due: waits and leases have ended."""
        with self.connect() as connection:
            connection.execute("update control.notifications set next_attempt_at = now()")

    def deliver(self, deliverer: Deliverer, *, ending: Callable[[], bool] = lambda: False) -> Delivered:
        """One pass on a connection of its own."""
        with ExitStack() as parts:
            return deliverer.deliver(parts.enter_context(self.connect()), ending=ending)


def deliverer_to(url: str, *, timeout_seconds: float = 10, secret: str = SECRET) -> Deliverer:
    """A deliverer that waits as long as it may after each failure."""
    endpoint = Endpoint(url=url, secret=secret, timeout_seconds=timeout_seconds)
    return Deliverer(endpoint=endpoint, chance=lambda: 0.0)
