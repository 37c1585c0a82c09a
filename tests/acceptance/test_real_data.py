"""The real data's way: "counted exactly once" and "a tenant sees its own rows only", against an oracle.

132,748 events of 25 tenants go over HTTP into a stack of its own; DuckDB counts the file without
our code, and the marts must say exactly the same: to us, and to each tenant through its own login.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg import sql

from pipeline.core.database import Database, connect
from pipeline.core.tenants import tenant_login
from tests.acceptance.stack import UserStack

ACTIVITY = Path(__file__).parents[2] / "examples" / "activity.ndjson.gz"
EVENTS, TENANTS = 132_748, 25

Rows = list[tuple[Any, ...]]

# What published tables say of the same as each view of the oracle. In schema analytics a tenant asks: no
# column tells which one, so its name stands in.
QUESTIONS = {
    "usage": (
        """
        select {tenant}, occurred_on, event_type, count(*), count(distinct user_id)
        from {schema}.fct_usage_events group by 1, 2, 3
        """,
        "select {tenant}, day, event_type, events, active_users from {schema}.tenant_usage_metrics",
    ),
    "totals": (
        """
        select {tenant}, count(*), count(distinct user_id), count(distinct session_id)
        from {schema}.fct_usage_events group by 1
        """,
        "select {tenant}, events, users, sessions from {schema}.dim_tenants",
    ),
    "active": ("select {tenant}, period, period_start, active_users from {schema}.active_users",),
}
CONTENT = "select count(*), sum(hashtextextended(m::text, 0)) from {} as m"


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """A stack that has the export in its marts."""

    stack: UserStack
    database: Database
    truth: dict[str, Rows]

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """Rows and a hash of the content of every mart and cached view, as the catalog lists them."""
        with self.database.connect_admin() as connection:
            names = connection.execute(
                "select nspname, relname from pg_class as c join pg_namespace as n on n.oid = relnamespace "
                "where nspname in ('marts', 'cache') and relkind in ('r', 'p', 'm')"
            ).fetchall()
            return {name: _only_row(connection, CONTENT, sql.Identifier(schema, name)) for schema, name in names}


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promoted]:
    stack = UserStack(tmp_path_factory.mktemp("home"))
    stack.ensure_started()
    try:
        total = stack.workbench.json("import", str(ACTIVITY), "--create-tenants")["total"]
        assert (total["lines"], total["accepted"]) == (EVENTS, EVENTS)
        promotion = stack.workbench.json("promote")
        assert (len(promotion["promoted"]), sum(promotion["promoted"].values())) == (TENANTS, EVENTS)
        yield Promoted(stack=stack, database=stack.server, truth=count_the_file())
    finally:
        stack.end()


@pytest.mark.parametrize("view", QUESTIONS)
def test_the_marts_say_what_duckdb_counts_in_the_file(promoted: Promoted, view: str) -> None:
    truth = promoted.truth[view]
    assert len({row[0] for row in truth}) == TENANTS
    with promoted.database.connect_admin() as connection:
        for found in answers(connection, view, tenant=sql.Identifier("tenant_id"), schema="marts"):
            assert found == truth


def test_each_tenant_finds_exactly_its_own_part_through_its_own_login(promoted: Promoted) -> None:
    parts = {view: part_by_tenant(rows) for view, rows in promoted.truth.items()}
    for tenant in parts["totals"]:
        url = promoted.database.login_url(tenant_login(promoted.database, tenant))
        with connect(url, application="acceptance") as connection:
            for view, truth in parts.items():
                for found in answers(connection, view, tenant=sql.Literal(tenant), schema="analytics"):
                    assert found == truth[tenant], f"{tenant}: {view}"


@pytest.mark.long
def test_importing_again_stores_nothing_and_changes_no_mart_nor_does_a_full_refresh(promoted: Promoted) -> None:
    before = promoted.contents()
    assert {"fct_usage_events", "tenant_usage_metrics", "feature_ranking"} <= before.keys()
    total = promoted.stack.workbench.json("import", str(ACTIVITY))["total"]
    assert (total["accepted"], total["duplicate"]) == (0, EVENTS)
    assert promoted.stack.workbench.json("promote")["state"] == "nothing_new"
    assert promoted.contents() == before

    refresh = promoted.stack.workbench.json("promote", "--full-refresh")
    assert sum(refresh["promoted"].values()) == EVENTS
    assert not any(refresh["rows_written"].values()), refresh["rows_written"]
    assert not any(refresh["rows_deleted"].values()), refresh["rows_deleted"]
    assert promoted.contents() == before

    ingest = promoted.stack.workbench.json("status")["total"]
    assert (ingest["accepted"], ingest["stored"], ingest["duplicate"]) == (2 * EVENTS, EVENTS, EVENTS)
    assert (ingest["dead_lettered"], ingest["in_flight"], ingest["pending"]) == (0, 0, 0)


def count_the_file() -> dict[str, Rows]:
    """The oracle's answer, by view."""
    with duckdb.connect() as oracle:
        oracle.execute("set variable path = $path", {"path": str(ACTIVITY)})
        oracle.execute(Path(__file__).with_name("activity.sql").read_text())
        return {view: sorted(oracle.table(view).fetchall()) for view in QUESTIONS}


def part_by_tenant(rows: Rows) -> dict[str, Rows]:
    """The rows of each tenant, whose name comes first."""
    parts: defaultdict[str, Rows] = defaultdict(list)
    for row in rows:
        parts[row[0]].append(row)
    return parts


def answers(connection: psycopg.Connection, view: str, *, tenant: sql.Composable, schema: str) -> Iterator[Rows]:
    """What each published table answers, sorted."""
    for question in QUESTIONS[view]:
        query = sql.SQL(question).format(tenant=tenant, schema=sql.Identifier(schema))
        yield sorted(connection.execute(query).fetchall())


def _only_row(connection: psycopg.Connection, query: str, name: sql.Identifier) -> tuple[Any, ...]:
    [row] = connection.execute(sql.SQL(query).format(name)).fetchall()
    return row
