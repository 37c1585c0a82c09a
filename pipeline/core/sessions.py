"""SQLModel sessions for the control tables. One session is one transaction's worth of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from pipeline.core.database import Database, connect
from pipeline.core.errors import DatabaseUnavailable


@contextmanager
def admin_session(database: Database) -> Iterator[Session]:
    """A session as the administrator; it commits only where the caller does. Raises DatabaseUnavailable."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(database.admin_url, application="workbench_admin"),
        poolclass=NullPool,
    )
    try:
        with Session(engine, expire_on_commit=False) as session:
            yield session
    except (OperationalError, psycopg.OperationalError) as error:
        raise DatabaseUnavailable("The database went away in the middle of this; nothing of it is kept.") from error


def driver(session: Session) -> psycopg.Connection:
    """The session's own psycopg connection, for statements with composed identifiers."""
    connection = session.connection().connection.driver_connection
    if not isinstance(connection, psycopg.Connection):
        raise TypeError("the session is not on psycopg")
    return connection
