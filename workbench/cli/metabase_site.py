"""What the metabase commands start from: who administers Metabase, and what it must hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.metabase.desired import Desired
    from workbench.metabase.opening import Administrator
    from workbench.metabase.spec import SpecFile

ENCRYPTED = ("require", "verify-ca", "verify-full")
"""What `sslmode` in DATABASE_URL says where the server must be spoken to in secret."""


def administrator_of(settings: Settings) -> Administrator:
    """Who administers Metabase. Raises SettingsError where that is not set."""
    from workbench.metabase.opening import Administrator

    wanted = settings.metabase
    if not (wanted.url and wanted.admin_email and wanted.admin_password):
        raise SettingsError(
            "Where Metabase is, or who administers it, is not set.",
            remedy="Set WORKBENCH_METABASE_URL, WORKBENCH_METABASE_ADMIN_EMAIL and WORKBENCH_METABASE_ADMIN_PASSWORD.",
        )
    return Administrator(url=wanted.url, email=wanted.admin_email, password=wanted.admin_password)


def read_desired(settings: Settings, database: Database, folder: Path | None, generation: int) -> Desired:
    """What Metabase must hold. Raises SpecError, or SettingsError where there is no secret to derive one from."""
    from psycopg.conninfo import conninfo_to_dict

    from pipeline.core.embedding_secret import embedding_secret
    from workbench.metabase.desired import Site, desired_of

    if not settings.secret:
        raise SettingsError(
            "Metabase needs a PostgreSQL server that it can reach, and the embedded one is reached by nobody else.",
            remedy="Set DATABASE_URL and WORKBENCH_SECRET; docs/compose.md has the whole stack.",
        )
    files = read_fit(folder)
    server, wanted = conninfo_to_dict(database.admin_url), settings.metabase
    site = Site(
        name=wanted.site_name,
        url=wanted.browser_url or "",
        secret=embedding_secret(settings.secret, generation),
        origins=tuple(wanted.origins()),
        host=wanted.database_host or str(server.get("host") or "localhost"),
        port=wanted.database_port or int(server.get("port") or 5432),
        dbname=str(server.get("dbname") or ""),
        ssl=server.get("sslmode") in ENCRYPTED,
    )
    return desired_of(files, site)


def read_fit(folder: Path | None) -> tuple[SpecFile, ...]:
    """The files. Raises SpecError for what is not fit."""
    from pipeline.core.metrics.catalog import read_metrics
    from workbench.metabase.lint import require_fit
    from workbench.metabase.spec import FOLDER, read_specs

    files = read_specs(folder or FOLDER)
    require_fit(files, {*(metric.name for metric in read_metrics()), "freshness"})
    return files
