"""SQL files of the migrations, run as they are written."""

from __future__ import annotations

from importlib.resources import files

import psycopg
from alembic import op


def read(name: str) -> str:
    """The text of a file in `sql/`."""
    return (files(__package__) / "sql" / name).read_text()


def run_file(name: str) -> None:
    """Run a file's statements on the migration's own connection, without parameters."""
    connection = op.get_bind().connection.driver_connection
    if not isinstance(connection, psycopg.Connection):
        raise TypeError("migrations run on psycopg")
    connection.execute(read(name).encode())
