"""Where promotions stand, read from the ledger: whoever promotes, and wherever, the figures are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row

from pipeline.core.database import Database
from workbench.accounting.snapshot import snapshot

_T = TypeVar("_T")

MOST_NAMED = 100
"""Held tenants that are told by name, those held for the longest first."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """When promotions ended, and what there is of them."""

    succeeded_at: datetime | None
    """The latest that was published, or found nothing new."""
    failures_since: int
    """Promotions that failed since then."""
    running_since: datetime | None
    recent: Mapping[str, int]
    """State to promotions that were begun in the last 24 hours."""


@dataclass(frozen=True, kw_only=True)
class Last:
    """The latest promotion that was published and not undone since."""

    finished_at: datetime
    seconds: float
    step_seconds: Mapping[str, float]
    rows_written: int
    rows_deleted: int
    events: int
    """Raw events of the tenants that were promoted."""
    promoted: int
    held: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """A tenant that is held."""

    tenant_id: str
    verdict: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What is landed and not published, of the tenants that are held or of the others."""

    held: bool
    tenants: int
    events: int


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What one look at other tables tells."""

    oldest_as_of: datetime | None
    """Up to when the marts hold what was landed for every tenant that is not held."""
    held: Mapping[str, int]
    """Verdict to tenants that are held."""
    tenants: Mapping[str, int]
    """Status to tenants."""
    notifications: Mapping[str, int]
    """Waiting or abandoned, to notifications."""
    database_bytes: int
    """Of tables and indexes, as the last vacuum or analysis of each found it."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The whole answer, of one snapshot."""

    ended: Ended
    last: Last | None
    rest: Rest
    pending: Sequence[Pending]
    held: Sequence[Held]


ENDED = """
with success as (
    select promotion_id, finished_at from control.promotions
    where state in ('published', 'nothing_new')
    order by promotion_id desc
    limit 1
),

running as (
    select min(started_at) as since from control.promotions
    where state in ('planned', 'built', 'judged')
),

recent as (
    select state, count(*) as promotions from control.promotions
    where started_at > now() - interval '24 hours'
    group by state
)

select
    (select finished_at from success) as succeeded_at,
    (
        select count(*) from control.promotions
        where state = 'failed' and promotion_id > coalesce((select promotion_id from success), 0)
    ) as failures_since,
    (select since from running) as running_since,
    coalesce((select jsonb_object_agg(state, promotions) from recent), '{}') as recent
"""

LAST = """
select
    p.finished_at,
    extract(epoch from p.finished_at - p.started_at)::double precision as seconds,
    p.step_seconds,
    p.rows_written,
    p.rows_deleted,
    t.events,
    t.promoted,
    t.held
from control.promotions as p
cross join lateral (
    select
        coalesce(sum(raw_rows) filter (where promoted), 0)::bigint as events,
        count(*) filter (where promoted) as promoted,
        count(*) filter (where not promoted) as held
    from control.promotion_tenants
    where promotion_id = p.promotion_id
) as t
where p.state = 'published'
order by p.promotion_id desc
limit 1
"""

# Counted by the index (tenant_id, landed_xid), of the tenants that have something pending.
PENDING = """
select
    h.tenant_id is not null as held,
    count(*) as tenants,
    sum(pending.events)::bigint as events
from control.landing_progress as l
left join control.promotion_progress as p using (tenant_id)
left join control.holds as h on h.tenant_id = l.tenant_id and h.state = 'open'
cross join lateral (
    select count(*) as events
    from raw.countable_events as e
    where e.tenant_id = l.tenant_id and e.landed_xid >= coalesce(p.promoted_xid, '0')
) as pending
where l.landed_xid >= coalesce(p.promoted_xid, '0') and pending.events > 0
group by 1
order by 1
"""

# The functions that tell sizes are taken from our roles: the catalog says what the last vacuum found.
REST = """
select
    (
        select min(p.as_of) from control.promotion_progress as p
        where
            p.promotion_id is not null
            and not exists (select from control.holds as h where h.tenant_id = p.tenant_id and h.state = 'open')
    ) as oldest_as_of,
    coalesce(
        (
            select jsonb_object_agg(verdict, tenants) from (
                select verdict, count(*) as tenants from control.holds where state = 'open' group by verdict
            ) as v
        ), '{}'
    ) as held,
    coalesce(
        (
            select jsonb_object_agg(status, tenants) from (
                select status, count(*) as tenants from control.tenants group by status
            ) as s
        ), '{}'
    ) as tenants,
    (
        select jsonb_build_object(
            'waiting', count(*) filter (where abandoned_at is null),
            'abandoned', count(*) filter (where abandoned_at is not null)
        )
        from control.notifications
        where delivered_at is null
    ) as notifications,
    (
        select sum(relpages::bigint) * current_setting('block_size')::bigint from pg_catalog.pg_class
    )::bigint as database_bytes
"""

HELD = """
select tenant_id, verdict, opened_at as since from control.holds
where state = 'open'
order by opened_at, tenant_id
limit %s
"""


def read_standing(database: Database) -> Standing:
    """Where promotions stand. Raises DatabaseUnavailable."""
    with snapshot(database, application="workbench_metrics") as connection:
        return Standing(
            ended=_one(connection, Ended, ENDED),
            last=connection.cursor(row_factory=class_row(Last)).execute(LAST).fetchone(),
            rest=_one(connection, Rest, REST),
            pending=connection.cursor(row_factory=class_row(Pending)).execute(PENDING).fetchall(),
            held=connection.cursor(row_factory=class_row(Held)).execute(HELD, (MOST_NAMED,)).fetchall(),
        )


def _one(connection: psycopg.Connection, kind: type[_T], query: LiteralString) -> _T:
    row = connection.cursor(row_factory=class_row(kind)).execute(query).fetchone()
    assert row is not None, "an aggregate always has a row"
    return row
