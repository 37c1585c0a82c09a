"""Every function of the catalog that a tenant may call: none changes the session, holds or measures others."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.isolation.conftest import Tenant

# Volatile functions that a tenant may call, closed: whatever a later PostgreSQL adds fails here first.
HARMLESS = {
    "array_sample", "array_shuffle", "clock_timestamp", "current_query", "gen_random_uuid", "pg_is_in_recovery",
    "pg_sleep", "pg_sleep_for", "pg_sleep_until", "random", "random_normal", "setseed", "timeofday", "uuidv4", "uuidv7",
}  # fmt: skip

VOLATILE = """
select distinct p.proname::text from pg_proc as p
where
    p.provolatile = 'v'
    and p.prokind in ('f', 'p')
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
    and not 'internal'::regtype = any(p.proargtypes)
    and has_function_privilege(p.oid, 'execute')
    and has_schema_privilege(p.pronamespace, 'usage')
order by 1
"""
HIDDEN_SQL = [
    "select query_to_xml('select 1', true, false, '')",
    "select table_to_xml('analytics.dim_users', true, false, '')",
    "select schema_to_xml('analytics', true, false, '')",
    "select database_to_xml(true, false, '')",
    "select cursor_to_xml('c', 1, true, false, '')",
    "select * from ts_stat('select to_tsvector(user_id) from analytics.dim_users')",
    "select ts_rewrite('a'::tsquery, 'select 1')",
    "select set_config('workbench.tenant_token', 'x', false)",
    "select current_setting('workbench.tenant_token', true), set_config('role', 'workbench_bi', false)",
    "update pg_settings set setting = 'workbench_bi' where name = 'role'",
]
HOLDING_OR_MEASURING = [
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock(1)",
    "select pg_advisory_xact_lock_shared(1, 2)",
    "select pg_notify('channel', 'payload')",
    "select pg_logical_emit_message(false, 'a', 'b')",
    "select pg_export_snapshot()",
    "select pg_current_xact_id()",
    "select txid_current()",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select pg_terminate_backend(pg_backend_pid())",
    "select pg_cancel_backend(pg_backend_pid())",
    "select pg_relation_size('pg_class')",
    "select pg_total_relation_size('pg_class')",
    "select pg_database_size(current_database())",
    "select pg_stat_get_live_tuples('marts.fct_usage_events'::regclass)",
    "select * from pg_stat_all_tables",
    "select * from pg_stat_activity",
    "select * from pg_locks",
    "select pg_read_file('postgresql.conf')",
    "select pg_ls_dir('.')",
    "select pg_current_wal_lsn()",
]


def test_the_list_of_volatile_functions_is_closed(session: psycopg.Connection) -> None:
    callable_now = {name for (name,) in session.execute(VOLATILE)}
    assert callable_now - HARMLESS == set()


@pytest.mark.parametrize("group", [HIDDEN_SQL, HOLDING_OR_MEASURING], ids=["hidden SQL", "holding or measuring"])
def test_what_would_reach_beyond_the_statement_is_refused(session: psycopg.Connection, group: list[str]) -> None:
    allowed = []
    for statement in group:
        try:
            session.execute(statement)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
            continue
        allowed.append(statement)
    assert allowed == []


def test_no_function_of_ours_but_the_tenant_context_can_be_called(acme: Tenant) -> None:
    with acme.connect() as connection:
        ours = connection.execute(
            "select p.oid::regprocedure::text from pg_proc as p where pronamespace::regnamespace::text in "
            "('raw', 'control', 'marts', 'cache', 'analytics', 'staging', 'intermediate', 'candidate', 'metrics', "
            "'public') and has_function_privilege(p.oid, 'execute')"
        ).fetchall()
    assert ours == [("control.current_tenant()",)]
