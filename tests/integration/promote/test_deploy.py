"""Deployment of the published relations: what is there afterwards, and what it refuses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipeline.core import deployment, fingerprint
from pipeline.core.database import Database, ServiceRole, connect, with_database
from pipeline.core.errors import DeploymentError
from pipeline.core.metrics.catalog import read_metrics
from pipeline.core.metrics.deploy import deploy_metrics
from pipeline.promote import deploy
from pipeline.promote.deploy import deploy_marts
from pipeline.promote.marts import Column, Mart, Strategy, read_cached_views, read_marts
from tests.conftest import DBT_DIR, NewTenant, drop_database
from tests.factories import MOMENT

MARTS = read_marts(DBT_DIR)
CACHED = read_cached_views(DBT_DIR)
USERS = next(mart for mart in MARTS if mart.name == "dim_users")
PUBLISHED = {mart.name for mart in MARTS}
SHOWN = PUBLISHED | {view.name for view in CACHED} | {"freshness"}

BY_ITSELF = Mart(
    name="dim_plans",
    description="Plans. One row per tenant and plan.",
    columns=(
        Column(name="tenant_id", type="text", description="The tenant."),
        Column(name="plan", type="text", description="The plan."),
        Column(name="seats", type="bigint", description="How many may use it."),
    ),
    key=("tenant_id", "plan"),
    tenant_column="tenant_id",
    grain="one row per tenant and plan",
    strategy=Strategy.MERGE,
    indexes=(("tenant_id", "seats"),),
)
WIDER = replace(
    BY_ITSELF,
    columns=(*BY_ITSELF.columns[:2], Column(name="price", type="bigint", description="Cents."), BY_ITSELF.columns[2]),
)

UNFILTERED = """
    create or replace view analytics.dim_tenants with (security_barrier = true) as
    select display_name, first_event_at, last_event_at, events, users, sessions from marts.dim_tenants
"""


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect_admin() as connection:
        yield connection


def rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode()).fetchall()


def a_row(mart: Mart, tenant: str) -> tuple[sql.Composed, list[object]]:
    """An insert of a row whose key names the tenant wherever it is text."""
    values = {"uuid": uuid.uuid4(), "date": MOMENT.date(), "text": f"of {tenant}"}
    types = {column.name: column.type for column in mart.columns}
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier("marts", mart.name),
        sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        sql.SQL(", ").join([sql.Placeholder()] * len(mart.key)),
    )
    return statement, [tenant, *(values[types[name]] for name in mart.key[1:])]


def column(connection: psycopg.Connection, query: str) -> set[Any]:
    return {row[0] for row in rows(connection, query)}


def test_every_table_has_row_security_and_leads_with_the_tenant(admin: psycopg.Connection) -> None:
    tables = "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'r'"
    assert column(admin, tables) == PUBLISHED
    assert column(admin, f"{tables} and relrowsecurity and relforcerowsecurity") == PUBLISHED
    leading = """
        select c.relname, i.indexrelid::regclass::text, a.attname
        from pg_index as i
        inner join pg_class as c on c.oid = i.indrelid
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where c.relnamespace in ('marts'::regnamespace, 'cache'::regnamespace)
    """
    indexes = rows(admin, leading)
    assert {first for _, _, first in indexes} == {"tenant_id"}
    assert {relation for relation, _, _ in indexes} == PUBLISHED | {view.name for view in CACHED}
    declared = sum(1 + len(mart.indexes) for mart in MARTS) + len(CACHED)
    assert len(indexes) == declared


def test_people_read_barrier_views_without_the_tenant_column(admin: psycopg.Connection) -> None:
    views = rows(
        admin,
        "select relname, relowner::regrole::text, reloptions, relkind from pg_class "
        "where relnamespace = 'analytics'::regnamespace",
    )
    assert {name for name, *_ in views} == SHOWN
    assert {tuple(map(str, rest)) for _, *rest in views} == {
        ("workbench_reader", "['security_barrier=true']", "v"),
    }
    undocumented = """
        select c.relname, a.attname
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where
            c.relnamespace in ('marts'::regnamespace, 'cache'::regnamespace, 'analytics'::regnamespace)
            and c.relkind in ('r', 'v', 'm')
            and (
                obj_description(c.oid, 'pg_class') is null
                or col_description(c.oid, a.attnum) is null
                or (c.relkind = 'v' and a.attname = 'tenant_id')
            )
    """
    assert rows(admin, undocumented) == []


def test_a_tenant_sees_its_own_rows_and_nothing_below_the_views(database: Database, new_tenant: NewTenant) -> None:
    logins = {tenant: new_tenant(tenant) for tenant in ("acme", "globex")}
    with database.connect(ServiceRole.PUBLISHER) as publisher:
        for tenant in logins:
            for mart in MARTS:
                publisher.execute(*a_row(mart, tenant))
        publisher.execute("update marts.feature_adoption set adopters = 1, events = 1")
        publisher.execute(
            "insert into control.promotions (bound_xid, as_of, models_fingerprint) values ('9', now(), '')"
        )
        publisher.execute(
            "insert into control.promotion_progress select t, '9', max(promotion_id), now(), '' "
            "from control.promotions cross join unnest(array['acme', 'globex']) as t group by t"
        )
    with database.connect(ServiceRole.PUBLISHER, autocommit=True) as publisher:
        publisher.execute("refresh materialized view concurrently cache.feature_ranking")
    for tenant, login in logins.items():
        with connect(database.login_url(login), autocommit=True, application="tests") as connection:
            for name in SHOWN:
                assert len(rows(connection, f"table analytics.{name}")) == 1, name
            assert rows(connection, "select user_id from analytics.dim_users") == [(f"of {tenant}",)]
            for relation in ("marts.dim_users", "cache.feature_ranking", "control.promotion_progress"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"table {relation}".encode())
    with database.connect(ServiceRole.BI) as connection:
        assert rows(connection, "select count(*) from marts.dim_users") == [(2,)]
    with (
        database.connect(ServiceRole.TRANSFORMER) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("delete from marts.dim_users")


def test_deploying_again_waits_for_no_reader(
    database: Database, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    facts = fingerprint.collect(admin)
    objects = "select oid::text || relname from pg_class union all select oid::text || polname from pg_policy"
    before = column(admin, objects)
    with connect(database.login_url(new_tenant("acme")), application="tests") as reader:
        for name in SHOWN:
            rows(reader, f"table analytics.{name}")
        deploy_marts(admin, MARTS, CACHED)
    assert column(admin, objects) == before
    assert fingerprint.collect(admin) == facts


def test_a_new_column_reaches_the_mart_and_its_view_and_leaves_the_rows(admin: psycopg.Connection) -> None:
    deploy_marts(admin, [BY_ITSELF], [])
    admin.execute("insert into marts.dim_plans values ('acme', 'pro', 7)")
    view = rows(admin, "select 'analytics.dim_plans'::regclass::oid")
    deploy_marts(admin, [WIDER], [])
    assert rows(admin, "select tenant_id, plan, price, seats from marts.dim_plans") == [("acme", "pro", None, 7)]
    shown = admin.execute("select * from analytics.dim_plans").description
    assert [c.name for c in shown or ()] == ["plan", "seats", "price"]
    assert rows(admin, "select 'analytics.dim_plans'::regclass::oid") == view, "readers lost their view"
    assert rows(admin, "select has_table_privilege('workbench_tenants', 'analytics.dim_plans', 'select')") == [(True,)]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (replace(WIDER, columns=BY_ITSELF.columns), "no longer has: price"),
        (
            replace(WIDER, columns=(*WIDER.columns[:3], Column(name="seats", type="text", description=""))),
            "seats from bigint",
        ),
        (replace(WIDER, key=("tenant_id", "plan", "price")), "has the key tenant_id, plan"),
    ],
)
def test_what_would_take_something_from_readers_is_refused(admin: psycopg.Connection, changed: Mart, told: str) -> None:
    deploy_marts(admin, [WIDER], [])
    with pytest.raises(DeploymentError, match=told) as refused:
        deploy_marts(admin, [changed], [])
    assert refused.value.remedy


def test_policies_grants_and_views_are_restored_to_what_they_should_be(admin: psycopg.Connection) -> None:
    facts = fingerprint.collect(admin)
    for tampering in (
        "alter table marts.dim_users disable row level security",
        "drop policy reads_own_tenant on marts.dim_users",
        "create policy everybody on marts.fct_sessions using (true)",
        "alter policy reads_own_tenant on marts.fct_sessions using (true)",
        "grant select on marts.dim_users, analytics.dim_users, cache.feature_ranking to public",
        "grant select (user_id) on marts.fct_sessions to workbench_api",
        "revoke select on marts.dim_users from workbench_bi",
        "grant delete on marts.dim_users to workbench_bi",
        "alter view analytics.dim_users reset (security_barrier)",
        UNFILTERED,
        "drop view analytics.freshness",
    ):
        admin.execute(tampering.encode())
    assert fingerprint.collect(admin) != facts
    deploy_marts(admin, MARTS, CACHED)
    assert fingerprint.collect(admin) == facts


def test_a_cached_view_follows_its_sql(admin: psycopg.Connection) -> None:
    ranking = CACHED[0]
    facts = fingerprint.collect(admin)
    deploy_marts(admin, [], [replace(ranking, sql=ranking.sql.replace("adoption.adopters desc, ", ""))])
    assert fingerprint.collect(admin) != facts
    deploy_marts(admin, [], [ranking])
    assert fingerprint.collect(admin) == facts
    with pytest.raises(DeploymentError, match=r"feature_ranking\.yml do not agree: adoption_rate"):
        deploy_marts(admin, [], [replace(ranking, columns=ranking.columns[:-1])])


def test_a_reader_that_stands_in_the_way_is_told_of(
    database: Database, new_tenant: NewTenant, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "LOCK_TIMEOUT", "set local lock_timeout = '100ms'")
    changed = replace(USERS, columns=(*USERS.columns, Column(name="plan", type="text", description="The plan.")))
    with connect(database.login_url(new_tenant("acme")), application="tests") as reader:
        rows(reader, "select * from analytics.dim_users")
        with pytest.raises(DeploymentError, match="in use for too long") as told:
            deploy_marts(admin, [changed], [])
    assert "db migrate" in str(told.value)


def _deploy(connection: psycopg.Connection) -> None:
    deploy_marts(connection, MARTS, CACHED)
    deploy_metrics(connection, read_metrics())


def test_what_is_deployed_later_is_secured_as_if_it_had_been_there_from_the_start(
    cluster: str, admin: psycopg.Connection
) -> None:
    database = Database(admin_url=with_database(cluster, "workbench_grown"))
    deployment.ensure_database(database.admin_url)
    deployment.migrate(database, lambda connection: deploy_marts(connection, MARTS[:2], []))
    deployment.migrate(database, _deploy)
    with database.connect_admin() as connection:
        assert fingerprint.collect(connection) == fingerprint.collect(admin)
    drop_database(cluster, "workbench_grown")
