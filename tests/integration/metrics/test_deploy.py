"""The metric functions are deployed as this release has them: repeatable, repaired, watched, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from msgspec.structs import replace

from pipeline.core import fingerprint
from pipeline.core.database import Database
from pipeline.core.errors import FingerprintMismatch
from pipeline.core.metrics.catalog import Column, read_metrics
from pipeline.core.metrics.deploy import deploy_metrics

STATE = """
select p.oid::regprocedure::text, p.xmin::text, p.prosrc, p.proowner::regrole::text, p.proacl::text, p.proconfig::text
from pg_proc as p where pronamespace = 'metrics'::regnamespace order by 1
"""
SIGNATURE = "(text, date, date, text, text)"
STRANGERS = [
    (
        "create function metrics.everything() returns setof marts.dim_users language sql security definer "
        "as $$ select * from marts.dim_users $$"
    ),
    "create function metrics.events(anything text) returns bigint language sql as $$ select 1 $$",
    "create procedure metrics.sweep() language sql as $$ select 1 $$",
    "create aggregate metrics.total(bigint) (sfunc = int8pl, stype = bigint)",
]
CHANGED = [
    f"alter function metrics.events{SIGNATURE} security invoker",
    f"alter function metrics.events{SIGNATURE} reset search_path",
    f"alter function metrics.events{SIGNATURE} set timezone = 'Asia/Tokyo'",
    f"alter function metrics.events{SIGNATURE} set workbench.tenant_token = 'x'",
    f"alter function metrics.events{SIGNATURE} owner to workbench_bi",
    f"alter function metrics.events{SIGNATURE} stable",
    f"alter function metrics.events{SIGNATURE} parallel safe",
    f"grant execute on function metrics.events{SIGNATURE} to public",
    f"grant execute on function metrics.events{SIGNATURE} to workbench_embed with grant option",
    f"revoke execute on function metrics.events{SIGNATURE} from workbench_api",
    (
        "create or replace function metrics.freshness(tenant_token text) returns table ("
        "promotion_id bigint, as_of timestamptz, held boolean, held_since timestamptz) language plpgsql "
        "security definer as $$ begin return query select promotion_id, as_of, held, held_since "
        "from control.promotion_progress; end $$"
    ),
    "drop function metrics.freshness(text)",
]
LOOSENED = [
    "grant usage on schema metrics to public",
    "grant create on schema metrics to workbench_embed",
    "grant execute on function control.issue_tenant_token(text, integer) to workbench_embed",
    "alter function control.require_bearer() security invoker",
    "create or replace function control.require_bearer() returns void language sql as $$ select $$",
]


PLANS = "set enable_seqscan = off; set plan_cache_mode = force_generic_plan; set search_path = analytics, pg_temp"
GIVEN = {"range_start": "$1", "range_end": "$2", "granularity": "$3", "dimension": "$4"}
BOUNDED = ["active_users", "events", "feature_users", "sessions", "stickiness"]
"""Metrics over what is indexed by day; stickiness by the users' days."""


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect_admin() as connection:
        yield connection


def state(admin: psycopg.Connection) -> list[tuple[str, ...]]:
    return admin.execute(STATE).fetchall()


def test_a_second_deployment_changes_nothing_at_all(admin: psycopg.Connection) -> None:
    before = state(admin)
    assert len(before) == len(read_metrics()) + 1
    deploy_metrics(admin, read_metrics())
    assert state(admin) == before
    assert {owner for _, _, _, owner, _, _ in before} == {"workbench_reader"}


def test_whatever_was_changed_by_hand_is_told_and_put_right(admin: psycopg.Connection) -> None:
    facts = fingerprint.collect(admin)
    for statement in (*CHANGED, *STRANGERS):
        admin.execute(statement.encode())
        with pytest.raises(FingerprintMismatch, match="metrics"):
            fingerprint.verify(admin)
        deploy_metrics(admin, read_metrics())
        assert fingerprint.collect(admin) == facts, statement


def test_whatever_loosens_the_walls_around_them_is_told(admin: psycopg.Connection) -> None:
    for statement in LOOSENED:
        with admin.transaction(force_rollback=True):
            admin.execute(statement.encode())
            with pytest.raises(FingerprintMismatch):
                fingerprint.verify(admin)
    fingerprint.verify(admin)


def test_a_metric_may_get_other_columns_and_may_go(admin: psycopg.Connection) -> None:
    new_users, *others = [metric for metric in read_metrics() if metric.name == "new_users"] + list(read_metrics())
    wider = replace(
        new_users,
        described=replace(
            new_users.described,
            columns=(*new_users.columns, Column(name="more", type="text", description="More.")),
        ),
        select=new_users.select.replace("count(*)", "count(*), 'more'::text"),
    )
    deploy_metrics(admin, [wider])
    names = {signature.partition("(")[0] for signature, *_ in state(admin)}
    assert names == {"metrics.freshness", "metrics.new_users"}
    deploy_metrics(admin, others)
    fingerprint.verify(admin)


def test_a_range_of_days_reaches_the_index_through_both_walls(admin: psycopg.Connection) -> None:
    """So that a short range of a long history costs what it holds, whatever the reader may not see."""
    admin.execute(PLANS)
    admin.execute("set role workbench_reader")
    for metric in read_metrics():
        query = re.sub(r"\b(range_start|range_end|granularity|dimension)\b", lambda name: GIVEN[name[0]], metric.select)
        admin.execute(f"prepare {metric.name} (date, date, text, text) as {query}".encode())
        found = admin.execute(f"explain execute {metric.name} ('2026-03-01', '2026-04-01', 'day', 'none')".encode())
        plan = "\n".join(line for (line,) in found)
        assert "Seq Scan" not in plan, metric.name
        conditions = [line for line in plan.splitlines() if "Index Cond" in line]
        assert any("tenant_id" in line and ("$1" in line or metric.name not in BOUNDED) for line in conditions), plan
