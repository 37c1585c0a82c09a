"""Landing: batches of events become durable, each in one transaction on a connection that is kept.

The connection is the lander's own: it reconnects after a loss, starts over after a deadlock, and
tells no fate before the commit. What happens inside the transaction is in `batch.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import IsolationLevel, errors

from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.events import Event, Landed
from pipeline.land import arrivals
from pipeline.land.batch import land_batch

ATTEMPTS = 3
"""How often a batch is landed that loses against another transaction."""

LOST = (errors.DeadlockDetected, errors.SerializationFailure)
GAVE_UP = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


class Lander:
    """Lands batches, one at a time: it belongs to one thread.

    `connect` gives a connection in UTC that logs in as the lander role, and may raise
    DatabaseUnavailable. Several landers may land the same events at the same time.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None

    def land(self, events: Sequence[Event]) -> list[Landed]:
        """The fates of the events, in their order, durable when this returns.

        Of several events with the same tenant and id the first is stored, here or in an earlier
        batch; an equal one is a duplicate, another payload a conflict. Raises DatabaseUnavailable,
        then the batch is stored as a whole or not at all, and handing it over again is safe.
        """
        if not events:
            return []
        lost: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                with self._transaction() as connection:
                    return land_batch(connection, events)
            except LOST as error:
                lost = error
        raise DatabaseUnavailable(
            f"Landing lost against other transactions {ATTEMPTS} times in a row.",
            remedy="Nothing of this batch is stored; hand it over again.",
        ) from lost

    def close(self) -> None:
        """Let go of the connection; the next batch would open another."""
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
                    arrivals.prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection
