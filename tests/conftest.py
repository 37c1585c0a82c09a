"""Fixtures by outer system: one PostgreSQL cluster per test process, one fresh database per test.

`TEST_DATABASE_URL` (a superuser's address) uses a given server instead of the embedded one. The fixtures
of the broker are in `kafka.py`, that of the browser in `browser.py`, that of published real data in `showcase.py`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from pipeline.core import deployment
from pipeline.core.database import Database, connect, with_database
from pipeline.core.embedded import CONFIGURATION, EmbeddedPostgres
from pipeline.core.metrics.catalog import read_metrics
from pipeline.core.metrics.deploy import deploy_metrics
from pipeline.core.tenants import add_tenant, tenant_login
from pipeline.promote.deploy import deploy_marts
from pipeline.promote.marts import read_cached_views, read_marts

pytest_plugins = ("tests.kafka", "tests.browser", "tests.showcase")

# Set by a test runner; commands under test print as where there is no terminal.
os.environ.pop("COLUMNS", None)

# A busy machine is not a failure, and a failure must be repeatable elsewhere.
settings.register_profile("workbench", deadline=None, print_blob=True)
settings.load_profile("workbench")

DBT_DIR = Path(__file__).parent.parent / "dbt"
TEMPLATE = "workbench_template"
# The server may lose a test's data, never a test's truth: durability tests start their own.
FAST = CONFIGURATION + "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_wal_size = '256MB'\n"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30
"""What must be free in memory for a server to live there: it copies a database for each test."""

NewTenant = Callable[..., str]


def pytest_report_header() -> str:
    """Say which server the tests talk to."""
    return f"PostgreSQL: {os.environ.get('TEST_DATABASE_URL', 'embedded')}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A server's administrator URL; `postgres` is the database to connect to for maintenance."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    home = Path(tempfile.mkdtemp(prefix="workbench-tests-", dir=MEMORY if in_memory else None))
    server = EmbeddedPostgres(home, configuration=FAST)
    server.start()
    deployment.close_maintenance_databases(server.admin_url)
    yield server.admin_url
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(cluster: str) -> str:
    """The name of a deployed database without data, which tests copy."""
    url = with_database(cluster, TEMPLATE)
    drop_database(cluster, TEMPLATE)
    deployment.ensure_database(url)
    deployment.migrate(Database(admin_url=url), _deploy)
    return TEMPLATE


def _deploy(connection: psycopg.Connection) -> None:
    deploy_marts(connection, read_marts(DBT_DIR), read_cached_views(DBT_DIR))
    deploy_metrics(connection, read_metrics())


@contextmanager
def deployed(cluster: str, template: str) -> Iterator[Database]:
    """A copy of a database, of its own name, for as long as it is needed."""
    name = f"workbench_{secrets.token_hex(6)}"
    with connect(with_database(cluster, "postgres"), autocommit=True, application="tests") as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    database = Database(admin_url=with_database(cluster, name))
    with database.connect_admin() as connection:
        # Copying a database copies its tables, not the privileges on the database itself.
        connection.execute(deployment.database_grants())
    yield database
    drop_database(cluster, name)


@pytest.fixture
def database(cluster: str, template: str) -> Iterator[Database]:
    """A fresh deployed database of this test alone."""
    with deployed(cluster, template) as database:
        yield database


@pytest.fixture
def new_tenant(database: Database) -> NewTenant:
    """Adds tenants and answers their login roles."""

    def add(tenant_id: str, **options: object) -> str:
        add_tenant(database, tenant_id, **options)  # type: ignore[arg-type]
        return tenant_login(database, tenant_id)

    return add


def drop_database(cluster: str, name: str) -> None:
    """Drop a database and whoever is connected to it."""
    with connect(with_database(cluster, "postgres"), autocommit=True, application="tests") as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
