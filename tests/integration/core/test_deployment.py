"""A deployment is one transaction, repeatable, and what the models say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from pipeline.core import deployment, fingerprint
from pipeline.core.database import Database, ServiceRole, connect, sqlalchemy_url, with_database
from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.metrics.reading import issue_token
from pipeline.core.models import ApiKey, Tenant, TenantLogin, User
from pipeline.core.tenants import add_tenant, tenant_login
from workbench.cli.context import deploy

MODELLED = {table.__tablename__ for table in (ApiKey, Tenant, TenantLogin, User)}


def test_deploying_again_changes_nothing(database: Database) -> None:
    with database.connect_admin() as connection:
        before = fingerprint.collect(connection)
    deploy(database)
    with database.connect_admin() as connection:
        assert fingerprint.collect(connection) == before
        releases = connection.execute("select count(*) from control.releases").fetchone()
    assert releases == (1,)


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_the_models_are_the_tables(database: Database) -> None:
    def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return kind != "table" or name in MODELLED

    with create_engine(sqlalchemy_url(database.admin_url)).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": True, "include_object": ours, "compare_server_default": False}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_deployment_that_fails_leaves_the_database_as_it_was(cluster: str) -> None:
    url = with_database(cluster, "workbench_half")
    deployment.ensure_database(url)
    database = Database(admin_url=url)

    def fail(_connection: psycopg.Connection) -> None:
        raise RuntimeError("the marts cannot be deployed")

    with pytest.raises(RuntimeError, match="cannot be deployed"):
        deployment.migrate(database, fail)
    with database.connect_admin() as connection:
        assert deployment.revisions(connection)[0] is None
        schemas = connection.execute("select nspname from pg_namespace where nspname in ('raw', 'control')")
        assert schemas.fetchall() == []


def test_no_service_role_may_do_more_than_its_work(database: Database) -> None:
    with database.connect_admin() as connection:
        rows = connection.execute(
            "select rolname from pg_roles where rolname like 'workbench%' and "
            "(rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)"
        ).fetchall()
        assert rows == []
        owned = connection.execute(
            "select c.oid::regclass::text from pg_class as c where relowner in "
            "(select oid from pg_roles where rolcanlogin and rolname like 'workbench%') "
            "and relkind not in ('i', 't') and relnamespace <> 'cache'::regnamespace"
        ).fetchall()
        assert owned == [], "a role that logs in owns tables, and owners can switch row security off"


@pytest.mark.parametrize("role", [role for role in ServiceRole if role is not ServiceRole.LANDER])
def test_only_the_lander_writes_raw(database: Database, role: ServiceRole) -> None:
    with (
        connect(database.url(role), application="tests") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(
            "insert into raw.usage_events (tenant_id, event_id, event_type, occurred_at, received_at, properties, "
            "payload_hash) values ('a', gen_random_uuid(), 'x', now(), now(), '{}', '')"
        )


def test_an_administrator_without_superuser_deploys_and_adds_tenants(tmp_path: Path) -> None:
    """As on a managed server: the right to create roles, and a database of one's own."""
    with EmbeddedPostgres(tmp_path) as server:
        with connect(with_database(server.admin_url, "postgres"), autocommit=True, application="tests") as superuser:
            superuser.execute("create role managed login createrole")
            superuser.execute("create database workbench owner managed")
        database = Database(admin_url=server.admin_url.replace("postgres@", "managed@"))
        assert deploy(database) == deploy(database)
        add_tenant(database, "acme")
        with connect(database.login_url(tenant_login(database, "acme")), application="tests") as tenant:
            assert tenant.execute("select count(*) from analytics.fct_usage_events").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                tenant.execute("select * from marts.fct_usage_events")
        with database.connect(ServiceRole.API) as api, database.connect(ServiceRole.EMBED) as embed:
            token = issue_token(api, "acme", seconds=60)
            figures = embed.execute("select * from metrics.events(%s, '2026-03-01', '2026-04-01')", (token,))
            assert figures.fetchall() == []
