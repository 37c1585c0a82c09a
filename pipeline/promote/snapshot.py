"""One transaction over all marts: everything in it sees one snapshot, and is done again if others got in its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

ATTEMPTS = 3
UNDONE_BY_THE_SERVER = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

T = TypeVar("T")


def in_one_snapshot(connection: psycopg.Connection, work: Callable[[], T]) -> T:
    """Do the work in a REPEATABLE READ transaction, again if somebody else touched the same rows."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    attempt = 1
    while True:
        try:
            with connection.transaction():
                return work()
        except UNDONE_BY_THE_SERVER:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
