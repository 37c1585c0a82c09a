"""One connection of the ADBC driver, as one login: read-only transactions, and answers as Arrow batches.

The driver by itself is no wall: it runs a statement without columns, a SET for instance, as it is. So
what a person typed only ever reaches the server inside a SELECT of ours.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeline.core.database import CONNECT_TIMEOUT_SECONDS, GIVE_UP_ON_SILENCE
from workbench.session.failures import DRIVER_ERRORS

APPLICATION = "workbench_session"
# A statement works on one core, so that one tenant's statements leave cores for the others.
SESSION = "-c timezone=UTC -c default_transaction_read_only=on -c max_parallel_workers_per_gather=0"
BEGIN = "begin isolation level repeatable read, read only"
SET_TIMEOUT = "set local statement_timeout = {:d}"
ROLLBACK = "rollback"
DECLARE = "declare answer no scroll cursor without hold for "
FETCH = "fetch forward {:d} from answer"
FETCH_ROWS = 20_000

BATCH_BYTES = 8 * 1024 * 1024
AS_COPY = {"adbc.postgresql.use_copy": "true", "adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
AS_ROWS = {"adbc.postgresql.use_copy": "false"}


def conninfo(url: str) -> str:
    """The address with what every session of ours has."""
    given = conninfo_to_dict(url)
    usual = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **GIVE_UP_ON_SILENCE}
    missing = {name: value for name, value in usual.items() if name not in given}
    options = f"{given.get('options') or ''} {SESSION}".strip()
    return make_conninfo(url, **missing, application_name=APPLICATION, options=options)


class Connection:
    """One connection. One thread uses it at a time; any may cancel."""

    def __init__(self, url: str) -> None:
        """Raises the driver's errors."""
        self._connection = dbapi.connect(conninfo(url), autocommit=True)
        self._cancelling = threading.Lock()
        self._open = True
        self._begin = BEGIN
        self.fit = True
        """It may be used again: nothing was cancelled or broken on it."""

    def begin(self, timeout_seconds: float) -> None:
        """Begin a transaction that reads one snapshot. Raises the driver's errors."""
        self._begin = f"{BEGIN}; {SET_TIMEOUT.format(max(1, int(timeout_seconds * 1000)))}"
        self._command(self._begin)

    def begin_again(self) -> None:
        """Begin anew, after a failure that nothing had been read before. Raises the driver's errors."""
        self._command(f"{ROLLBACK}; {self._begin}")

    def roll_back(self) -> bool:
        """End the transaction; False if the connection is broken."""
        try:
            self._command(ROLLBACK)
        except DRIVER_ERRORS:
            self.fit = False
        return self.fit

    def parameters(self, text: str) -> pa.Schema | None:
        """What the server expects for each parameter, without running the statement."""
        with closing(self._connection.cursor()) as cursor:
            return cursor.adbc_prepare(text)

    def describe(self, text: str) -> pa.Schema:
        """The columns that a statement answers, without running it."""
        with closing(self._connection.cursor()) as cursor:
            return cursor.adbc_execute_schema(text)

    def copy(self, text: str) -> Iterator[pa.RecordBatch]:
        """The answer of a SELECT without parameters, by COPY: the fastest way."""
        with closing(self._connection.cursor(adbc_stmt_kwargs=AS_COPY)) as cursor:
            cursor.execute(text)
            yield from cursor.fetch_record_batch()

    def fetch(self, text: str, values: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The answer of a SELECT with parameters, through a cursor: COPY takes none.

        The grammar of DECLARE is a wall of its own, and a cursor keeps the answer on the server.
        """
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(DECLARE + text, values)
        while True:
            with closing(self._connection.cursor(adbc_stmt_kwargs=AS_ROWS)) as cursor:
                cursor.execute(FETCH.format(FETCH_ROWS))
                batches = list(cursor.fetch_record_batch())
            yield from batches
            if sum(batch.num_rows for batch in batches) < FETCH_ROWS:
                return

    def cancel(self) -> None:
        """Ask the server to end what it does for this connection, which is not used again after that."""
        with self._cancelling:
            if self._open:
                # It may come late, and would then hit the next statement.
                self.fit = False
                with suppress(*DRIVER_ERRORS):
                    self._connection.adbc_cancel()

    def close(self) -> None:
        """Close it; never raises."""
        with self._cancelling:
            self._open = False
            with suppress(*DRIVER_ERRORS):
                self._connection.close()

    def _command(self, statement: str) -> None:
        """One of our own statements; never a text that somebody typed."""
        with closing(self._connection.cursor()) as cursor:
            cursor.executescript(statement)
