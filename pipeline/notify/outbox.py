"""The outbox: `control.notifications`, as whoever delivers sees it.

Each function is one short transaction, on a connection as the publisher in autocommit. A notification is
in flight from its claim to its answer: attempts > 0, no error, and the end of its lease in `next_attempt_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

KEPT = timedelta(days=30)
"""How long what was delivered or abandoned can be looked at."""
WORTH_TELLING = timedelta(days=3)
"""What could not be delivered for as long is no news any more."""
MOST_TIDIED = 1_000
"""Rows per statement that tidies."""

TRIES = 50
"""Claims that give way to older news of the same tenant which another process is claiming at this instant."""

# In the order in which they were written, of a tenant one at a time; one that waits for its next
# attempt holds up nobody. What is in flight is little, and looked for once: every tenant may be due.
CLAIM = """
with in_flight as materialized (
    select tenant_id from control.notifications
    where
        delivered_at is null and abandoned_at is null
        and attempts > 0 and last_error is null and next_attempt_at > now()
)

update control.notifications as claimed set
    attempts = claimed.attempts + 1,
    last_error = null,
    next_attempt_at = now() + %(lease)s
where claimed.notification_id = (
    select n.notification_id
    from control.notifications as n
    where
        n.delivered_at is null and n.abandoned_at is null and n.next_attempt_at <= now()
        and not exists (select from in_flight as f where f.tenant_id is not distinct from n.tenant_id)
    order by n.created_at, n.notification_id
    for update of n skip locked
    limit 1
)
returning claimed.notification_id, claimed.kind, claimed.payload, claimed.created_at, claimed.attempts
"""

OVERTAKES = """
select exists (
    select from control.notifications as elder
    where
        elder.delivered_at is null and elder.abandoned_at is null and elder.last_error is null
        and elder.tenant_id is not distinct from n.tenant_id
        and (elder.created_at, elder.notification_id) < (n.created_at, n.notification_id)
)
from control.notifications as n
where n.notification_id = %(id)s
"""

ADD_CLAIMED = """
insert into control.notifications (kind, payload, attempts, next_attempt_at)
values (%(kind)s, %(payload)s, 1, now() + %(lease)s)
returning notification_id, kind, payload, created_at, attempts
"""

# Delivered is delivered, even where it took so long that somebody else has claimed it since.
DELIVERED = """
update control.notifications set delivered_at = now(), last_error = null
where notification_id = %(id)s and delivered_at is null and abandoned_at is null
"""

FAILED = """
update control.notifications set
    last_error = %(error)s,
    next_attempt_at = case when %(wait)s::interval is null then next_attempt_at else now() + %(wait)s::interval end,
    abandoned_at = case when %(wait)s::interval is null then now() end
where
    notification_id = %(id)s and attempts = %(attempts)s
    and delivered_at is null and abandoned_at is null
"""

HURRY = """
update control.notifications set next_attempt_at = now()
where delivered_at is null and abandoned_at is null and last_error is not null and next_attempt_at > now()
"""

ABANDON_OLD_NEWS = """
update control.notifications set
    abandoned_at = now(),
    last_error = concat_ws('; ', last_error, %(reason)s::text)
where notification_id in (
    select notification_id from control.notifications
    where
        delivered_at is null and abandoned_at is null and created_at < now() - %(age)s
        and (next_attempt_at <= now() or last_error is not null)
    for update skip locked
    limit %(limit)s
)
"""

DELETE_OLD = """
delete from control.notifications
where notification_id in (
    select notification_id from control.notifications
    where coalesce(delivered_at, abandoned_at) < now() - %(age)s
    for update skip locked
    limit %(limit)s
)
"""

COUNT_PENDING = "select count(*) from control.notifications where delivered_at is null and abandoned_at is null"


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What somebody has to be told, and which attempt this is, from 1 on."""

    notification_id: UUID
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int


def claim(connection: psycopg.Connection, *, lease: timedelta) -> Notification | None:
    """The next notification that is due, for whoever asks alone until the lease ends; None if none is."""
    for _ in range(TRIES):
        with connection.transaction():
            claimed = connection.cursor(row_factory=class_row(Notification)).execute(CLAIM, {"lease": lease}).fetchone()
            if claimed is None or not _overtakes(connection, claimed):
                return claimed
            raise psycopg.Rollback
    return None


def _overtakes(connection: psycopg.Connection, claimed: Notification) -> bool:
    """Whether older news of the same tenant is being claimed by somebody else, who has not committed yet."""
    row = connection.execute(OVERTAKES, {"id": claimed.notification_id}).fetchone()
    return row is not None and bool(row[0])


def add_claimed(
    connection: psycopg.Connection, kind: str, payload: Mapping[str, object], *, lease: timedelta
) -> Notification:
    """A new notification that is in flight already."""
    values = {"kind": kind, "payload": Jsonb(dict(payload)), "lease": lease}
    return connection.cursor(row_factory=class_row(Notification)).execute(ADD_CLAIMED, values).fetchall()[0]


def mark_delivered(connection: psycopg.Connection, notification: Notification) -> None:
    """Enter that the receiver took it."""
    connection.execute(DELIVERED, {"id": notification.notification_id})


def mark_failed(
    connection: psycopg.Connection, notification: Notification, error: str, *, wait: timedelta | None
) -> None:
    """Enter why an attempt failed, and that the next is due in so long; without a wait it is abandoned.

    Nothing is entered if the lease ended and somebody else has claimed it since.
    """
    values = {"id": notification.notification_id, "attempts": notification.attempts, "wait": wait}
    connection.execute(FAILED, values | {"error": error})


def hurry(connection: psycopg.Connection) -> None:
    """Make due at once what waits for its next attempt."""
    connection.execute(HURRY)


def tidy(connection: psycopg.Connection) -> None:
    """Abandon what is no news any more, and delete what was settled long ago; a bounded number of each."""
    reason = f"not delivered within {WORTH_TELLING.days} days"
    connection.execute(ABANDON_OLD_NEWS, {"reason": reason, "age": WORTH_TELLING, "limit": MOST_TIDIED})
    connection.execute(DELETE_OLD, {"age": KEPT, "limit": MOST_TIDIED})


def count_pending(connection: psycopg.Connection) -> int:
    """How many are neither delivered nor abandoned."""
    row = connection.execute(COUNT_PENDING).fetchone()
    return int(row[0]) if row else 0
