"""What a hostile tenant would type, each as its own login, with another tenant's rows beside its own."""

from __future__ import annotations

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole, with_database
from tests.integration.isolation.conftest import Tenant
from tests.integration.isolation.test_relations import assert_silent

REFUSED = [
    "set role workbench_bi",
    "set role workbench_reader",
    "set session authorization workbench_publisher",
    "grant workbench_bi to current_user",
    "alter role current_user bypassrls",
    "alter role current_user connection limit 1000",
    "select * from marts.fct_usage_events",
    "select * from raw.usage_events",
    "select * from raw.dead_letters",
    "select * from control.tenants",
    "select * from control.tenant_logins",
    "select * from control.api_keys",
    "select * from control.signing_keys",
    "select * from cache.feature_ranking",
    "select * from candidate.fct_usage_events",
    "copy marts.fct_usage_events to stdout",
    "copy (select * from marts.dim_users) to stdout",
    "copy analytics.dim_users to '/tmp/x'",
    "copy analytics.dim_users to program 'cat'",
    "select * from pg_authid",
    "select * from pg_statistic",
    "select * from pg_user_mapping",
    "create temp table tenants (tenant_id text)",
    "create temp view tenant_logins as select 'globex' as tenant_id",
    "create table analytics.mine (x int)",
    "create table public.mine (x int)",
    "create schema mine",
    "create function pg_temp.leak(text) returns boolean language sql cost 0.0000001 as $$ select true $$",
    "create function pg_temp.leak(text) returns boolean language plpgsql as $$ begin return true; end $$",
    "do $$ begin perform 1; end $$",
    "create operator pg_temp.=== (leftarg = text, rightarg = text, function = texteq)",
    "create extension dblink",
    "create policy mine on marts.dim_users using (true)",
    "alter table marts.dim_users disable row level security",
    "alter view analytics.dim_users reset (security_barrier)",
    "alter view analytics.dim_users set schema public",
    "create or replace view analytics.dim_users as select * from marts.dim_users",
    "drop view analytics.dim_users",
    "refresh materialized view cache.feature_ranking",
    "insert into analytics.dim_users (user_id) values ('x')",
    "update analytics.dim_users set events = 0",
    "delete from analytics.dim_users",
    "truncate marts.dim_users",
    "lock table marts.fct_usage_events in access share mode",
    "lock table analytics.dim_users in access exclusive mode",
    "select * from analytics.dim_users for update",
    "select lo_import('/etc/passwd')",
    "load 'auto_explain'",
    "alter system set row_security = off",
    "set session_replication_role = replica",
    "comment on view analytics.dim_users is 'mine'",
    "security label on view analytics.dim_users is 'mine'",
    "create publication everything for all tables",
    "vacuum marts.dim_users",
]
OWN_ROWS_ONLY = [
    "set row_security = off; select user_id from analytics.dim_users",
    "set workbench.tenant_token = 'globex|99999999999|k1|00'; select user_id from analytics.dim_users",
    "set search_path = pg_temp, analytics, marts; select user_id from dim_users",
    (
        "set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off; "
        "select user_id from analytics.dim_users where user_id like '%marker%'"
    ),
    "prepare p as select user_id from analytics.dim_users; execute p; deallocate p",
    "begin; declare c cursor for select user_id from analytics.dim_users; fetch all from c",
    "with x as materialized (select user_id from analytics.dim_users) select * from x",
    "select a.user_id from analytics.dim_users as a, lateral (select * from analytics.dim_users) as b",
    "select properties->>'note' from analytics.fct_usage_events tablesample system (100)",
    "table analytics.dim_users",
]
# Each raises on a row's own value; the message must never hold a value of a row that is not the tenant's.
ERROR_ORACLES = [
    "select user_id::int from analytics.dim_users",
    "select (properties ->> 'note')::int from analytics.fct_usage_events",
    "select 1 / (case when user_id like 'globex%' then 0 else 1 end) from analytics.dim_users",
    "select count(*) from analytics.fct_usage_events where (properties ->> 'note')::date > now()",
    "select cast(feature_ranking::text as int) from analytics.feature_ranking",
]


def test_every_attack_is_refused(acme: Tenant) -> None:
    allowed = []
    with acme.connect() as connection:
        for statement in REFUSED:
            try:
                with connection.cursor() as cursor:
                    if statement.startswith("copy") and statement.endswith("stdout"):
                        with cursor.copy(statement) as copy:
                            list(copy.rows())
                    else:
                        cursor.execute(statement)
            except psycopg.Error as refused:
                assert_silent(str(refused), acme, where=statement)
                continue
            allowed.append(statement)
    assert allowed == []


@pytest.mark.parametrize("statement", OWN_ROWS_ONLY)
def test_a_way_around_shows_own_rows_or_none(acme: Tenant, statement: str) -> None:
    with acme.connect() as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement.encode())
            answers = [str(result.fetchall()) for result in cursor.results() if result.description]
        except psycopg.Error as refused:
            answers = [str(refused)]
    assert_silent("".join(answers), acme, where=statement)


@pytest.mark.parametrize("statement", ERROR_ORACLES)
def test_an_error_never_speaks_of_foreign_values(acme: Tenant, statement: str) -> None:
    with acme.connect() as connection:
        for switch in ("on", "off"):
            connection.execute(f"set enable_indexscan = {switch}")
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                assert_silent(str(error).replace("globex%", ""), acme, where=statement)


def test_a_division_by_zero_on_foreign_rows_does_not_happen(acme: Tenant) -> None:
    """A barrier that leaks evaluates the tenant's expression on rows that it never shows."""
    with acme.connect() as connection:
        connection.execute("set enable_indexscan = off; set enable_bitmapscan = off")
        row = connection.execute(
            "select count(*) from analytics.dim_users "
            "where 1 / (case when user_id like 'globex%' then 0 else 1 end) = 1"
        ).fetchone()
    assert row == (acme.own_rows,)


def test_a_token_of_another_tenant_in_the_session_changes_nothing(acme: Tenant) -> None:
    with acme.connect() as connection:
        connection.execute("set workbench.tenant_token = 'globex|99999999999|k1|" + "0" * 64 + "'")
        assert connection.execute("select count(*) from analytics.dim_users").fetchone() == (acme.own_rows,)


def test_one_tenant_neither_sees_nor_ends_the_sessions_of_another(attackers: tuple[Tenant, Tenant]) -> None:
    acme, globex = attackers
    with globex.connect() as other, acme.connect() as connection:
        other.execute("select 'globex-marker in a query'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select query from pg_stat_activity")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select pg_terminate_backend(%s)", (other.info.backend_pid,))


@pytest.mark.parametrize("other", ["postgres", "template1"])
def test_no_other_database_of_the_server_is_open(acme: Tenant, other: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(with_database(acme.url, other))


@pytest.mark.usefixtures("attackers")
def test_a_login_without_a_tenant_sees_nothing_and_a_stranger_cannot_enter(database: Database) -> None:
    with database.connect_admin(autocommit=True) as admin:
        admin.execute("create role stranger_for_a_test login")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(database.login_url("stranger_for_a_test"))
            # Even with the group's rights, a login that is mapped to no tenant has no rows.
            admin.execute("grant workbench_tenants to stranger_for_a_test")
            with psycopg.connect(database.login_url("stranger_for_a_test")) as connection:
                row = connection.execute("select count(*) from analytics.fct_usage_events").fetchone()
            assert row == (0,)
        finally:
            admin.execute("drop role stranger_for_a_test")


@pytest.mark.usefixtures("attackers")
def test_without_a_token_the_embed_role_reads_nothing(database: Database) -> None:
    with database.connect(ServiceRole.EMBED) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from analytics.fct_usage_events")
