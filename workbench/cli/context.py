"""What every command starts from: settings, and a deployed database to work on.

The kernel's heavier rooms (Alembic, SQLModel, the embedded server) are imported by the functions
that enter them, so that `workbench --help` does not wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline
from pipeline.core.errors import DeploymentError
from pipeline.core.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from pipeline.core.database import Database

DBT_DIR = Path(pipeline.__file__).resolve().parent.parent / "dbt"


def read_settings() -> Settings:
    """The settings of this process. Raises SettingsError."""
    return Settings.from_environment(os.environ)


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The deployed database: the configured server, or the embedded one for as long as it takes.

    The embedded server is this user's alone and is brought to this release at once; a configured
    one is changed by `workbench db migrate` only. Raises DatabaseUnavailable, StackError, or
    DeploymentError if a configured database is not at this release.
    """
    from pipeline.core import deployment
    from pipeline.core.database import Database
    from pipeline.core.embedded import EmbeddedPostgres

    if settings.database_url:
        database = Database(
            admin_url=settings.database_url, secret=settings.secret, analyst_url=settings.analyst_database_url
        )
        require_deployed(database)
        yield database
        return
    with EmbeddedPostgres(settings.home) as server:
        deployment.ensure_database(server.admin_url)
        deployment.close_maintenance_databases(server.admin_url)
        database = Database(admin_url=server.admin_url)
        deploy(database)
        yield database


def deploy(database: Database) -> str:
    """Bring the database to this release, marts included; answers the security fingerprint."""
    from pipeline.core import deployment

    return deployment.migrate(database, _deploy_marts)


def require_deployed(database: Database) -> None:
    """Raise DeploymentError, with the remedy, unless the database is at this release."""
    from pipeline.core import deployment

    with database.connect_admin() as connection:
        found, head = deployment.revisions(connection)
    if found != head:
        raise DeploymentError(
            f"The database is at revision {found or 'none'}, this release needs {head}.",
            remedy="Run `workbench db migrate`.",
        )


def _deploy_marts(connection: psycopg.Connection) -> None:
    from pipeline.core.metrics.catalog import read_metrics
    from pipeline.core.metrics.deploy import deploy_metrics
    from pipeline.promote.deploy import deploy_marts
    from pipeline.promote.marts import read_cached_views, read_marts

    deploy_marts(connection, read_marts(DBT_DIR), read_cached_views(DBT_DIR))
    deploy_metrics(connection, read_metrics())
