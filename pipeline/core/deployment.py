"""Deployment: brings a database to this release, in one transaction, and records what it secured.

Roles, kernel schemas (Alembic), published marts, grants and the security fingerprint succeed or
fail together, so a reader never meets half a release. Running it again is safe and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import NullPool, create_engine

from pipeline.core import fingerprint
from pipeline.core.database import Database, connect, database_name, with_database
from pipeline.core.errors import DeploymentError
from pipeline.core.migrations import statements
from pipeline.core.roles import OWNER, set_passwords
from pipeline.core.signing_keys import ensure_signing_key

OLDEST_SERVER = 150000
LOCK = "select pg_advisory_xact_lock(hashtext('workbench deployment'))"
# Byte order: keys compare faster, and no upgrade of the operating system's locales can disorder an index.
CREATE_DATABASE = sql.SQL("create database {} template template0 encoding 'UTF8' lc_collate 'C'")

DeployMarts = Callable[[psycopg.Connection], None]
"""Creates or extends the published marts on an administrator's connection, inside its transaction."""


def migrate(database: Database, deploy_marts: DeployMarts) -> str:
    """Bring the database to this release and return the security fingerprint now in force.

    Raises DatabaseUnavailable, or DeploymentError naming what stands in the way.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(database.admin_url, application="workbench_deployment"),
        poolclass=NullPool,
    )
    with engine.begin() as bind:
        connection = bind.connection.driver_connection
        if not isinstance(connection, psycopg.Connection):
            raise TypeError("deployment runs on psycopg")
        _require_server(connection)
        connection.execute(LOCK)
        _prepare(connection)
        _as_owner(connection)
        config = _alembic()
        config.attributes["connection"] = bind
        command.upgrade(config, "head")
        connection.execute("reset role")
        ensure_signing_key(connection)
        deploy_marts(connection)
        connection.execute(database_grants())
        set_passwords(connection, database)
        return fingerprint.record(connection, version=version("analytics-workbench"))


def database_grants() -> bytes:
    """The statements on the database itself, which only its administrator may run."""
    return statements.read("0001_database.sql").encode()


def ensure_database(admin_url: str) -> None:
    """Create the database that the address names, if its server lacks it."""
    name = database_name(admin_url)
    with connect(
        with_database(admin_url, "postgres"), autocommit=True, application="workbench_deployment"
    ) as connection:
        if connection.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
            connection.execute(CREATE_DATABASE.format(sql.Identifier(name)))


def close_maintenance_databases(admin_url: str) -> None:
    """Keep tenants out of `postgres` and `template1` of a server that is ours alone."""
    for name in ("postgres", "template1"):
        with connect(with_database(admin_url, name), autocommit=True, application="workbench_deployment") as connection:
            connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))


def revisions(connection: psycopg.Connection) -> tuple[str | None, str]:
    """The database's migration revision (None before the first deployment), and this release's."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head() or ""
    row = connection.execute("select to_regclass('control.alembic_version')").fetchone()
    if row is None or row[0] is None:
        return None, head
    found = connection.execute("select version_num from control.alembic_version").fetchone()
    return (found[0] if found else None), head


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _require_server(connection: psycopg.Connection) -> None:
    if connection.info.server_version < OLDEST_SERVER:
        raise DeploymentError(
            f"PostgreSQL {connection.info.server_version // 10000} is too old.",
            remedy="Use PostgreSQL 15 or newer; views that obey row security need it.",
        )


def _prepare(connection: psycopg.Connection) -> None:
    """Roles, and the rights that the owner needs to create schemas."""
    connection.execute(statements.read("0001_roles.sql").encode())
    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("grant create on database {} to {}").format(name, sql.Identifier(OWNER)))
    _as_owner(connection)
    connection.execute("create schema if not exists control")
    connection.execute("reset role")


def _as_owner(connection: psycopg.Connection) -> None:
    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(OWNER)))
