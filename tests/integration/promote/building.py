"""Windows by hand: land events, plan a promotion, publish what dbt built by the plainest merge.

What the promoter does with locks, checks and proofs, done here in the fewest statements, so that the
models are tested by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipeline.promote.marts import Mart, Strategy, read_marts
from tests.conftest import DBT_DIR

LAND = """
    insert into raw.usage_events (
        tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
    )
    values (
        %(tenant_id)s, %(event_id)s, %(event_type)s, %(occurred_at)s, %(received_at)s, %(user_id)s, %(session_id)s,
        '{}', '\\x00'
    )
"""
PLAN = """
    insert into control.promotions (bound_xid, as_of, models_fingerprint)
    values (pg_snapshot_xmin(pg_current_snapshot()), now(), '')
    returning promotion_id
"""
PLAN_TENANT = """
    insert into control.promotion_tenants (tenant_id, promotion_id, from_xid, full_refresh, raw_rows)
    select
        t.tenant_id,
        %(promotion_id)s,
        case when %(full_refresh)s then '0'::xid8 else coalesce(p.promoted_xid, '0'::xid8) end,
        %(full_refresh)s,
        1
    from control.tenants as t
    left join control.promotion_progress as p using (tenant_id)
    where t.tenant_id = %(tenant_id)s
"""
PROGRESS = """
    insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
    select tenant_id, bound_xid, promotion_id, as_of, '' from control.promotion_window
    on conflict (tenant_id) do update set promoted_xid = excluded.promoted_xid, promotion_id = excluded.promotion_id
"""
REFRESHED = "select array_agg(tenant_id) from control.promotion_window where full_refresh"
DONE = "update control.promotions set state = 'published' where state = 'planned'"


def land(connection: psycopg.Connection, events: Iterable[Mapping[str, Any]]) -> None:
    """Insert events into raw and commit."""
    with connection.cursor() as cursor:
        cursor.executemany(LAND, list(events))
    connection.commit()


def plan(connection: psycopg.Connection, tenants: Mapping[str, bool]) -> None:
    """Open a promotion for these tenants; the value says whether it is a full refresh of the tenant."""
    row = connection.execute(PLAN).fetchone()
    assert row is not None
    for tenant_id, full_refresh in tenants.items():
        bound = {"tenant_id": tenant_id, "promotion_id": row[0], "full_refresh": full_refresh}
        connection.execute(PLAN_TENANT, bound)
    connection.commit()


def publish(connection: psycopg.Connection) -> None:
    """Merge every candidate into its mart, move the progress, and commit."""
    row = connection.execute(REFRESHED).fetchone()
    for mart in read_marts(DBT_DIR):
        connection.execute(
            sql.SQL("delete from {} where tenant_id = any(%s)").format(sql.Identifier("marts", mart.name)), row
        )
        connection.execute(_merge(mart))
    connection.execute(PROGRESS)
    connection.execute(DONE)
    connection.commit()


def _merge(mart: Mart) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
    values = [column.name for column in mart.columns if column.name not in mart.key]
    update = sql.SQL("on conflict ({}) do update set {}").format(
        sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values),
    )
    return sql.SQL("insert into {} ({}) select {} from {} {}").format(
        sql.Identifier("marts", mart.name),
        columns,
        columns,
        sql.Identifier("candidate", mart.name),
        # An appended fact that is already there would be counted twice: let the key tell.
        sql.SQL("") if mart.strategy is Strategy.APPEND else update,
    )
