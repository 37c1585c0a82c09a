"""The embed role has nothing but the metric functions, and they nothing for whoever has no valid token."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.tenants import suspend_tenant
from tests.conftest import deployed
from tests.integration.isolation.embed import CALL, METRICS, Embedding, assert_refused, embedding
from tests.integration.isolation.test_functions import HARMLESS, VOLATILE
from tests.integration.isolation.test_relations import ALL_RELATIONS, assert_silent
from tests.integration.metrics.tokens import issued

OWN_SCHEMAS = [
    "raw", "control", "staging", "intermediate", "candidate", "marts", "journal", "cache", "analytics", "public",
]  # fmt: skip
OUR_FUNCTIONS = """
select p.oid::regprocedure::text from pg_proc as p
where p.pronamespace::regnamespace::text = any(%s) and has_function_privilege(p.oid, 'execute')
"""
REACHABLE = """
select c.oid::regclass::text from pg_class as c
where c.relnamespace::regnamespace::text = any(%s)
    and (
        c.relkind in ('r', 'p', 'v', 'm', 'f')
        and (
            has_table_privilege(c.oid, 'select, insert, update, delete, truncate, references, trigger')
            or has_any_column_privilege(c.oid, 'select, insert, update, references')
        )
        or c.relkind = 'S' and has_sequence_privilege(c.oid, 'usage, select, update')
    )
"""
ALL_ROWS = sql.SQL("select r::text from {} as r")
REFUSED = [
    "select * from analytics.dim_users",
    "select * from marts.fct_usage_events",
    "select * from raw.usage_events",
    "select * from control.signing_keys",
    "select * from control.tenants",
    "select * from control.tenant_logins",
    "select * from control.dashboards",
    "select * from control.metabase_state",
    "copy (select * from cache.feature_ranking) to stdout",
    "select control.current_tenant()",
    "select control.issue_tenant_token('acme', 60)",
    "select control.require_bearer()",
    "select set_config('workbench.tenant_token', 'x', false)",
    "select set_config('role', 'workbench_reader', false)",
    "set role workbench_reader",
    "set role workbench_api",
    "set session authorization workbench_api",
    "grant workbench_reader to current_user",
    "create function metrics.mine() returns text language sql as $$ select 'x' $$",
    "create or replace function metrics.freshness(tenant_token text) returns text language sql as $$ select 'x' $$",
    "drop function metrics.freshness(text)",
    "alter function metrics.freshness(text) reset search_path",
    "create temp table dim_users (user_id text)",
    "create schema mine",
    "do $$ begin perform 1; end $$",
    "select query_to_xml('select 1', true, false, '')",
    "select pg_terminate_backend(pg_backend_pid())",
    "select * from pg_authid",
    "select query from pg_stat_activity",
]


def unsigned_jwt(claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


# How a token is spoiled, from a valid one of acme.
SPOILED: dict[str, Callable[[str], str | None]] = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "what Metabase sends for no value": lambda _: "[]",
    "an empty array of PostgreSQL": lambda _: "{}",
    "the word null": lambda _: "null",
    "a tenant's id": lambda _: "acme",
    "in an array": lambda token: f'["{token}"]',
    "in braces": lambda token: f"{{{token}}}",
    "blank before": lambda token: " " + token,
    "line after": lambda token: token + "\n",
    "two in a row": lambda token: token + token,
    "two in lines": lambda token: f"{token}\n{token}",
    "upper case": str.upper,
    "without signature": lambda token: token[: token.rindex("|") + 1],
    "with half a signature": lambda token: token[:-32],
    "with a longer signature": lambda token: token + "00",
    "signature of zeros": lambda token: token[:-64] + "0" * 64,
    "another tenant": lambda token: token.replace("acme|", "globex|"),
    "another tenant before": lambda token: "globex|" + token,
    "later expiry": lambda token: token.replace(token.split("|")[1], "99999999999"),
    "expiry beyond bounds": lambda token: token.replace(token.split("|")[1], "9" * 30),
    "expiry in other digits": lambda token: token.replace(token.split("|")[1], "٩٩٩٩٩٩٩٩٩٩٩"),
    "negative expiry": lambda token: token.replace(token.split("|")[1], "-1"),
    "unknown key": lambda token: token.replace("|k1|", "|k2|"),
    "no key": lambda token: token.replace("|k1|", "||"),
    "key by pattern": lambda token: token.replace("|k1|", "|%|"),
    "algorithm none": lambda token: token.replace("|k1|", "|none|")[:-64],
    "an unsigned JWT": lambda _: unsigned_jwt({"tenant": "globex", "exp": 99999999999}),
    "SQL": lambda _: "' or true --",
    "an expression": lambda _: "acme|1|k1|' || repeat('0', 64) || '",
    "very long": lambda token: token + "x" * 1_000_000,
}


@pytest.fixture(scope="module")
def world(cluster: str, template: str) -> Iterator[Embedding]:
    with deployed(cluster, template) as database:
        yield embedding(database)


def test_it_has_no_right_on_any_relation_and_no_function_but_the_metrics(world: Embedding) -> None:
    with world.connect() as embed:
        assert embed.execute(REACHABLE, (OWN_SCHEMAS,)).fetchall() == []
        assert embed.execute(OUR_FUNCTIONS, (OWN_SCHEMAS,)).fetchall() == []
        found = embed.execute(
            "select proname from pg_proc where pronamespace = 'metrics'::regnamespace "
            "and has_function_privilege(oid, 'execute')"
        ).fetchall()
        assert sorted(name for (name,) in found) == sorted([*METRICS, "freshness"])
        schemas = embed.execute(
            "select nspname from pg_namespace where has_schema_privilege(oid, 'usage') "
            "and nspname !~ '^pg_' and nspname <> 'information_schema'"
        ).fetchall()
        assert schemas == [("metrics",)]
        assert {name for (name,) in embed.execute(VOLATILE)} - HARMLESS == {*METRICS, "freshness"}


def test_it_reads_no_relation_outside_the_catalog(world: Embedding) -> None:
    acme = world.tenants["acme"]
    with world.connect() as embed:
        readable = set()
        for schema, name in embed.execute(ALL_RELATIONS).fetchall():
            try:
                rows = embed.execute(ALL_ROWS.format(sql.Identifier(schema, name))).fetchall()
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as refused:
                assert_silent(str(refused), acme)
                continue
            except psycopg.errors.WrongObjectType:
                continue
            readable.add(schema)
            for (text,) in rows:
                assert_silent(text or "", acme, where=f"{schema}.{name}")
        assert readable == {"information_schema", "pg_catalog"}


def test_whatever_else_it_tries_is_refused(world: Embedding) -> None:
    allowed = []
    with world.connect() as embed:
        for statement in REFUSED:
            try:
                if statement.startswith("copy"):
                    with embed.cursor().copy(statement.encode()) as copy:
                        list(copy.rows())
                else:
                    embed.execute(statement.encode())
            except psycopg.Error as refused:
                assert_silent(str(refused), world.tenants["acme"], where=statement)
                continue
            allowed.append(statement)
    assert allowed == []


def test_a_token_opens_its_own_tenants_figures_and_no_others(world: Embedding) -> None:
    with world.connect() as embed:
        for tenant in world.tenants.values():
            told = {}
            for name in METRICS:
                rows = embed.execute(CALL.format(name=name).encode(), (world.sign(tenant.tenant_id),)).fetchall()
                assert_silent(str(rows), tenant, where=name)
                told[name] = len(rows)
            fresh = embed.execute("select * from metrics.freshness(%s)", (world.sign(tenant.tenant_id),)).fetchall()
            assert len(fresh) == 1
            assert told["feature_users"] == told["feature_adoption"] == tenant.own_rows


def test_a_token_that_is_none_is_refused_by_every_function_without_a_word(world: Embedding) -> None:
    calls = [*(CALL.format(name=name) for name in METRICS), "select * from metrics.freshness(%s)"]
    allowed = []
    with world.connect() as embed:
        for how, spoil in SPOILED.items():
            token = spoil(world.sign("acme"))
            for call in calls:
                try:
                    embed.execute(call.encode(), (token,))
                except psycopg.errors.InvalidAuthorizationSpecification as refused:
                    assert_refused(refused, world.tenants["acme"], token)
                else:
                    allowed.append((how, call))
    assert allowed == []


def test_a_token_is_refused_once_it_expired_or_its_key_was_retired_or_its_tenant_suspended(database: Database) -> None:
    world = embedding(database)
    acme = world.tenants["acme"]
    call = CALL.format(name="events").encode()

    def assert_it_is_refused(embed: psycopg.Connection, token: str) -> None:
        with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification) as caught:
            embed.execute(call, (token,))
        assert_refused(caught.value, acme, token)

    with world.connect() as embed:
        assert_it_is_refused(embed, world.sign("acme", expires_in=0))
        assert_it_is_refused(embed, world.sign("acme", expires_in=-60))
        assert_it_is_refused(embed, world.sign("acme", algorithm="blake2s"))
        assert_it_is_refused(embed, world.sign("nobody"))
        token, other = world.sign("acme"), issued(world.database, "acme")
        embed.execute(call, (token,))
        with world.database.connect_admin() as admin:
            admin.execute("update control.signing_keys set retired_at = now() where key_id = 'k1'")
        assert_it_is_refused(embed, token)
        other = issued(world.database, "acme")
        embed.execute(call, (other,))
        suspend_tenant(world.database, "acme")
        assert_it_is_refused(embed, other)


def test_nobody_else_may_call_them_and_a_tenants_login_not_even_when_it_may(database: Database) -> None:
    world = embedding(database)
    call, token = CALL.format(name="events").encode(), world.sign("globex")
    for role in ServiceRole:
        if role not in (ServiceRole.EMBED, ServiceRole.API):
            with world.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(call, (token,))
    acme = world.tenants["acme"]
    with connect(acme.url, autocommit=True, application="tests") as login:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(call, (token,))
        with world.database.connect_admin() as admin:
            admin.execute("grant usage on schema metrics to workbench_tenants")
            admin.execute("grant execute on all functions in schema metrics to workbench_tenants")
        for presented in (token, world.sign("acme"), ""):
            with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification) as caught:
                login.execute(call, (presented,))
            assert_refused(caught.value, acme, presented or None)
