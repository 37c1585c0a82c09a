"""`workbench sql`: a tenant's own rows, one reading statement, within bounds."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment

INSERT = """
insert into marts.feature_adoption (tenant_id, event_type, adopters, events, first_used_at, last_used_at)
select t, e, 3, 10 * length(t), '2026-03-02', '2026-03-02'
from unnest(array['acme', 'globex']) as t cross join unnest(array['page_view', 'api_call']) as e
"""


@pytest.fixture
def acme(workbench: CommandLine, database: Database) -> CommandLine:
    """Two tenants with published rows."""
    workbench.run("tenants", "add", "acme")
    workbench.run("tenants", "add", "globex")
    with database.connect_admin() as connection:
        connection.execute(INSERT)
    return workbench


def test_a_tenant_sees_its_own_rows_only_in_each_format(acme: CommandLine) -> None:
    question = "select event_type, events from feature_adoption order by 1"
    assert acme.json("sql", "--tenant", "acme", question) == {
        "columns": ["event_type", "events"],
        "rows": [["api_call", 40], ["page_view", 40]],
        "truncated": False,
    }
    table = acme.run("sql", "--tenant", "globex", question).stdout
    assert "60" in table
    assert "40" not in table
    printed = acme.run("sql", "--tenant", "acme", "-", "--csv", given=question).stdout
    assert list(csv.reader(io.StringIO(printed))) == [["event_type", "events"], ["api_call", "40"], ["page_view", "40"]]


def test_explain_is_refused_with_the_reason(acme: CommandLine) -> None:
    for statement in (
        "explain select * from feature_adoption",
        "/* a */ -- b\n (  explain select 1)",
        "EXPLAIN (analyze, buffers off) table feature_adoption",
    ):
        assert "other tenants' rows" in acme.run("sql", "--tenant", "acme", statement, exits=1).stderr, statement


def test_anything_but_one_reading_statement_is_refused(acme: CommandLine) -> None:
    for statement in (
        "select 1; explain select 1",
        "select 1; select 2",
        "do $$ begin execute 'explain select 1'; end $$",
        "prepare p as select 1",
        "execute p",
        "declare c cursor for select 1",
        "set enable_indexscan = off",
        "reset role",
        "show all",
        "copy feature_adoption to stdout",
        "create temp table x (a int)",
        "begin",
        "",
    ):
        assert acme.run("sql", "--tenant", "acme", statement, exits=1).stdout == "", statement


def test_an_error_is_told_in_the_servers_words_with_its_place(acme: CommandLine) -> None:
    for statement, said in {
        "select *\nfrom nothing": 'relation "nothing" does not exist.\nfrom nothing\n     ^\n',
        "select 1 / 0": "division by zero.",
        "select * form feature_adoption": "syntax error",
        "select * from raw.usage_events": "permission denied for schema raw.",
        "select * from feature_adoption for update": "permission denied",
        "with x as (delete from feature_adoption returning 1) table x": "data-modifying",
        "select set_config('statement_timeout', '0', false)": "permission denied for function set_config.",
        "select query_to_xml('explain select 1', true, true, '')": "permission denied for function query_to_xml.",
    }.items():
        assert said in acme.run("sql", "--tenant", "acme", statement, exits=1).stderr, statement


def test_rows_and_time_are_bounded_and_it_says_so(acme: CommandLine) -> None:
    session = "select current_setting('transaction_read_only'), current_setting('statement_timeout')"
    assert acme.json("sql", "--tenant", "acme", session)["rows"] == [["on", "30s"]]
    many = ("sql", "--tenant", "acme", "select generate_series(1, 100000)")
    cut = acme.run(*many, "--limit", "2", "--csv")
    assert cut.stdout == "generate_series\n1\n2\n"
    assert "first 2 rows" in cut.stderr
    assert acme.json(*many, "--limit", "2")["truncated"] is True
    ended = acme.run("sql", "--tenant", "acme", "select pg_sleep(60)", "--timeout", "0.2", exits=1)
    assert "ended after 0.2 seconds" in ended.stderr


def test_values_that_python_cannot_hold_are_printed_as_postgresql_writes_them(acme: CommandLine) -> None:
    question = """select 'infinity'::timestamptz, '0044-03-15 BC'::date, 'NaN'::float8, 12345678901234567890.10,
        '{"a": [1]}'::jsonb, array[1, 2], null, true, E'\\u001b[31m'"""
    found = acme.json("sql", "--tenant", "acme", question)["rows"][0]
    assert found[:3] == ["infinity", "0044-03-15 BC", "NaN"]
    assert found[4:] == [{"a": [1]}, "{1,2}", None, True, "\x1b[31m"]
    printed = acme.run("sql", "--tenant", "acme", question, "--csv").stdout
    assert "12345678901234567890.10" in printed
    assert '"{""a"": [1]}","{1,2}",,t' in printed
    assert "\x1b" not in acme.run("sql", "--tenant", "acme", question).stdout


def test_a_tenants_sql_goes_to_the_standby_if_there_is_one(acme: CommandLine, database: Database, home: Path) -> None:
    nowhere = "postgresql://admin@127.0.0.1:1/workbench"
    standby = CommandLine(environment(database, home) | {"ANALYST_DATABASE_URL": nowhere})
    assert "127.0.0.1:1/" in standby.run("sql", "--tenant", "acme", "select 1", exits=75).stderr
    assert "@127.0.0.1:1/workbench" in standby.run("db", "url", "--tenant", "acme").stdout
    assert acme.run("sql", "--tenant", "acme", "select 1").stdout
