"""SQLModel sessions for the control tables. One session is one transaction's worth of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import NullPool, create_engine
from sqlmodel import Session

from pipeline.core.database import Database, connect


@contextmanager
def admin_session(database: Database) -> Iterator[Session]:
    """A session as the administrator; it commits only where the caller does. Raises DatabaseUnavailable."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(database.admin_url, application="workbench_admin"),
        poolclass=NullPool,
    )
    with Session(engine, expire_on_commit=False) as session:
        yield session


def driver(session: Session) -> psycopg.Connection:
    """The session's own psycopg connection, for statements with composed identifiers."""
    connection = session.connection().connection.driver_connection
    if not isinstance(connection, psycopg.Connection):
        raise TypeError("the session is not on psycopg")
    return connection
