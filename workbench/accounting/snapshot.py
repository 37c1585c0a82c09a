"""One snapshot of the database for several questions, asked as the steward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pipeline.core.database import Database, ServiceRole


@contextmanager
def snapshot(database: Database, *, application: str) -> Iterator[psycopg.Connection]:
    """A connection that sees one moment and only reads. Raises DatabaseUnavailable."""
    with database.connect(ServiceRole.STEWARD, application=application) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
