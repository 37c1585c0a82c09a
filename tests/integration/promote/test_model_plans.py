"""Work follows new data, not history: what each model reads of raw and of the published marts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.promote.build import Builder
from tests.conftest import DBT_DIR
from tests.integration.promote.building import plan

HISTORY = 40_000
NEW_EVENTS = 200
MINNOWS = 500
MOST_READS = 20 * NEW_EVENTS
"""Of each relation by each model: a handful of probes per new event, far from the history."""

# One tenant with three users has nearly everything, so that a planner who knows the statistics
# expects any search for one of its rows to succeed on the first page.
PUBLISH_HISTORY = """
    insert into marts.fct_user_activity
    select 'whale', 'u' || i %% 3, date '1970-01-01' + i / 6, 'type_' || i %% 2, 1, now(), now()
    from generate_series(1, %(rows)s) as i;

    insert into marts.dim_users
    select 'whale', 'u' || i, now(), now(), 1, 1 from generate_series(1, %(rows)s) as i;

    insert into marts.fct_sessions
    select 'whale', 's' || i, 'u1', now(), now(), 0, 1 from generate_series(1, %(rows)s) as i;

    insert into marts.tenant_usage_metrics
    select 'whale', date '1970-01-01' + i / 2, 'type_' || i %% 2, 1, 1 from generate_series(1, %(rows)s) as i;
"""
# And many small tenants in the same window: joining them to raw in one go looks cheaper than it is.
TENANTS = """
    insert into control.tenants (tenant_id, display_name)
    select 'minnow-' || i, 'Minnow' from generate_series(1, %(minnows)s) as i
"""
LAND = """
    insert into raw.usage_events (
        tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
    )
    select
        case when i %% 2 = 0 then 'whale' else 'minnow-' || 1 + i / 2 %% %(minnows)s end,
        gen_random_uuid(), 'type_' || i %% 4, now() - i * interval '1 hour', now(), 'u' || i %% 5, 's' || i,
        '{}', '\\x00'
    from generate_series(1, %(rows)s) as i
"""
# The one promotion before took up all that was there, as the ledger still says: of so few rows the planner
# thinks nothing, and would look up their events too, to drop them afterwards.
PROMOTED = """
    with promotion as (
        insert into control.promotions (state, bound_xid, as_of, models_fingerprint)
        values ('published', pg_snapshot_xmin(pg_current_snapshot()), now(), '')
        returning *
    ),

    windows as (
        insert into control.promotion_tenants (tenant_id, promotion_id, from_xid, full_refresh, raw_rows)
        select tenant_id, promotion_id, '0', false, 1 from promotion cross join control.tenants
    )

    insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
    select tenant_id, bound_xid, promotion_id, as_of, '' from promotion cross join control.tenants
"""


@pytest.fixture
def with_history(database: Database, new_tenant: Callable[..., str]) -> Iterator[psycopg.Connection]:
    new_tenant("whale")
    with database.connect_admin() as connection:
        connection.execute(TENANTS, {"minnows": MINNOWS})
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(PUBLISH_HISTORY, {"rows": HISTORY})
        connection.execute(LAND, {"rows": HISTORY, "minnows": MINNOWS})
        connection.commit()
        connection.execute(PROMOTED)
        connection.execute(LAND, {"rows": NEW_EVENTS, "minnows": MINNOWS})
        connection.commit()
        plan(connection, {"whale": False} | {f"minnow-{n}": False for n in range(1, MINNOWS + 1)})
        yield connection


def test_models_read_new_data_and_probe_history(
    with_history: psycopg.Connection, database: Database, tmp_path: Path
) -> None:
    Builder(DBT_DIR, database.url(ServiceRole.TRANSFORMER), parsed_dir=tmp_path).build(models_fingerprint="")
    models = sorted((tmp_path / "compiled" / "workbench" / "models").glob("*/*.sql"))
    assert len(models) > 10
    for statistics in ("none", "fresh"):
        if statistics == "fresh":
            with_history.execute("analyze")
            with_history.commit()
        with database.connect(ServiceRole.TRANSFORMER) as connection:
            for model in models:
                for relation, rows in reads_of_history(connection, model.read_text()).items():
                    assert rows <= MOST_READS, f"{model.stem} reads {rows} rows of {relation}; statistics: {statistics}"


def reads_of_history(connection: psycopg.Connection, model: str) -> dict[str, int]:
    """Relation of raw or marts -> how many of its rows running the model touches."""
    row = connection.execute(b"explain (analyze, verbose, timing off, format json) " + model.encode()).fetchone()
    assert row is not None
    plans = row[0] if isinstance(row[0], list) else json.loads(row[0])
    reads: dict[str, int] = {}
    for node in nodes(plans[0]["Plan"]):
        if node.get("Schema") in ("raw", "marts"):
            removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
            relation = f"{node['Schema']}.{node['Relation Name']}"
            reads[relation] = reads.get(relation, 0) + round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return reads


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
