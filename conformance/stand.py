"""The database that the scenarios run on: one embedded server, and for each subject and scenario a fresh copy."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from psycopg import sql

from pipeline.core import deployment
from pipeline.core.database import Database, connect, with_database
from pipeline.core.embedded import EmbeddedPostgres
from workbench.cli.context import deploy

TEMPLATE = "conformance_template"

CREATE = sql.SQL("create database {} template {}")
DROP = sql.SQL("drop database if exists {} with (force)")


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """A server with a deployed template."""

    admin_url: str

    @property
    def version(self) -> str:
        """The server's version, as it tells it."""
        with connect(with_database(self.admin_url, TEMPLATE), application="conformance") as connection:
            row = connection.execute("select current_setting('server_version')").fetchone()
        return "" if row is None else str(row[0])

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        """A deployed database without data, gone afterwards."""
        name = f"conformance_{secrets.token_hex(4)}"
        self._maintain(CREATE.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        try:
            database = Database(admin_url=with_database(self.admin_url, name))
            with database.connect_admin() as connection:
                connection.execute(deployment.database_grants())
            yield database
        finally:
            self._maintain(DROP.format(sql.Identifier(name)))

    def _maintain(self, statement: sql.Composed) -> None:
        with connect(with_database(self.admin_url, "postgres"), autocommit=True, application="conformance") as link:
            link.execute(statement)


@contextmanager
def new_stand() -> Iterator[Stand]:
    """A server with the settings as shipped, with durable commits, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="conformance-"))
    try:
        with EmbeddedPostgres(home) as server:
            yield deployed(server.admin_url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def deployed(admin_url: str) -> Stand:
    """A stand on a server that runs already; the administrator's address names any database of it."""
    template = with_database(admin_url, TEMPLATE)
    deployment.ensure_database(template)
    deploy(Database(admin_url=template))
    return Stand(admin_url=admin_url)
