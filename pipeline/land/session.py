"""The session of a lander: a connection that is kept, and transactions on it that are tried again.

It reconnects after a loss and starts over after a deadlock; what happens inside a transaction is
its callers'. It belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import IsolationLevel, errors

from pipeline.core.errors import DatabaseUnavailable
from pipeline.land import arrivals

ATTEMPTS = 3
"""How often a transaction is run that loses against another."""

# A lander that is stopped between two statements would hold its locks for as long as it is: keys and
# offsets that others wait for, and the bound of every promotion.
END_WHEN_IDLE = "set idle_in_transaction_session_timeout = '15s'"

LOST = (errors.DeadlockDetected, errors.SerializationFailure)
GAVE_UP = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)

T = TypeVar("T")


class LandingSession:
    """Runs transactions, one at a time.

    `connect` gives a connection in UTC that logs in as the lander role, and may raise
    DatabaseUnavailable.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None

    def run(self, work: Callable[[psycopg.Connection], T]) -> T:
        """What `work` returns, committed; it may be called several times.

        Raises DatabaseUnavailable, then it is committed as a whole or not at all.
        """
        lost: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                with self._transaction() as connection:
                    return work(connection)
            except LOST as error:
                lost = error
        raise DatabaseUnavailable(
            f"Landing lost against other transactions {ATTEMPTS} times in a row.",
            remedy="Nothing of this batch is stored; hand it over again.",
        ) from lost

    def close(self) -> None:
        """Let go of the connection; the next transaction would open another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        """A transaction that commits at the end of the block; driver errors are translated here."""
        try:
            connection = self._connected()
            with connection.transaction():
                yield connection
        except LOST:
            raise
        except GAVE_UP as error:
            self.close()
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise DatabaseUnavailable(
                f"PostgreSQL gave up while landing: {reason}.",
                remedy="Hand the same events over again: their ids keep them from counting twice.",
            ) from error

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            connection = self._connect()
            try:
                connection.isolation_level = IsolationLevel.READ_COMMITTED
                with connection.transaction():
                    connection.execute(END_WHEN_IDLE)
                    arrivals.prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection
