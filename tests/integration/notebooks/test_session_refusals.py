"""What a tenant may not say, however it is said: to bare ADBC some of it is welcome, to `Workbench.sql` none is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from adbc_driver_postgresql import dbapi

from tests.integration.notebooks.session_world import SessionWorld, new_session_world
from workbench.session import ConnectionLost, SourceError, Workbench, asking
from workbench.session.pool import Pool
from workbench.session.reading import Reading
from workbench.session.statement import Statement


@pytest.fixture(scope="module")
def world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    with new_session_world(cluster, template, tmp_path_factory.mktemp("extracts") / "mine") as world:
        yield world


@pytest.fixture(scope="module")
def wb(world: SessionWorld) -> Iterator[Workbench]:
    with world.open("acme") as wb:
        yield wb


SETTINGS = (
    "transaction_read_only",
    "transaction_isolation",
    "statement_timeout",
    "timezone",
    "max_parallel_workers_per_gather",
    "search_path",
)
FORBIDDEN = (
    "explain select 1",
    "explain (format json) table fct_usage_events",
    "/* a */ explain\nanalyze select 1",
    "with x as (explain select 1) table x",
    "set statement_timeout = 0",
    "set local statement_timeout = 0",
    "set session characteristics as transaction read write",
    "set role postgres",
    "reset all",
    "discard all",
    "show statement_timeout",
    "select set_config('statement_timeout', '0', false)",
    "select set_config('control.tenant_token', 'x', true)",
    "do $$begin end$$",
    "prepare p as select 1",
    "execute p",
    "deallocate all",
    "begin",
    "commit",
    "rollback",
    "savepoint a",
    "declare c cursor for select 1",
    "fetch all from answer",
    "copy (select 1) to stdout",
    "copy (select 1) to program 'id'",
    "listen a",
    "notify a",
    "lock table fct_usage_events",
    "create temp table t (a int)",
    "create table t (a int)",
    "drop view freshness",
    "insert into fct_usage_events values (null)",
    "with gone as (delete from fct_usage_events returning 1) table gone",
    "select 1 into temp t",
    "select 1 as a into t",
    "select * from fct_usage_events for update",
    "call x()",
    "vacuum",
    "select 1; select 2",
    "select 1; set statement_timeout = 0",
    "select 1) as answer; set statement_timeout = 0; select * from (select 1",
    "select 1) as answer (c1) -- ",
    "select 1) to program 'id' -- ",
    "select 1 as a /*",
    "select pg_advisory_lock(1)",
    "select lo_create(0)",
    "select query_to_xml('explain select 1', true, true, '')",
    "select pg_read_file('/etc/passwd')",
    "select * from marts.fct_usage_events",
    "select * from control.tenants",
)


@pytest.mark.parametrize("query", FORBIDDEN)
def test_it_is_refused_with_a_reason_also_with_values_and_nothing_of_the_session_changes(
    wb: Workbench, query: str
) -> None:
    before = _settings(wb)
    for asked, params in ((query, []), (f"{query} $1", [1]), (query.replace("1", "$1"), [1])):
        if "$1" not in asked and params:
            continue
        with pytest.raises(SourceError) as refused:
            wb.sql(asked, params)
        assert refused.value.message
    assert _settings(wb) == before


@pytest.mark.parametrize("query", FORBIDDEN)
def test_the_servers_grammar_refuses_it_without_our_own_look_at_the_words(world: SessionWorld, query: str) -> None:
    statement = Statement(text=query, places=[], values=[])
    with (
        Pool() as pool,
        pool.transaction(world.url("acme"), timeout_seconds=10) as connection,
        pytest.raises(SourceError) as refused,
    ):
        asking.ask(connection, statement, Reading())
    assert not isinstance(refused.value, ConnectionLost)


def test_bare_adbc_runs_what_changes_the_session(world: SessionWorld) -> None:
    with (
        closing(dbapi.connect(world.url("acme"), autocommit=True)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute("set statement_timeout = 0")
        cursor.execute("select current_setting('statement_timeout')")
        assert cursor.fetchall() == [("0",)]


def test_a_transaction_is_read_only_of_one_snapshot_and_bounded_in_time(wb: Workbench) -> None:
    assert _settings(wb, timeout_seconds=7) == ("on", "repeatable read", "8s", "UTC", "0", "analytics")


def _settings(wb: Workbench, timeout_seconds: float = 30) -> tuple[object, ...]:
    asked = ", ".join(f"current_setting('{name}')" for name in SETTINGS)
    return wb.sql(f"select {asked}", timeout_seconds=timeout_seconds).row(0)
