"""A read under way: what it has got so far, how it is cancelled, and how it ends in time whatever happens.

The database's work is done by a thread of its own, while the caller's waits: so the caller can be
interrupted, hears of progress in its own thread, and is never kept longer than it allowed, even where
neither the server nor the network answers a cancellation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from workbench.session.errors import SourceError, StatementCancelled, StatementTimeout

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.session.connection import Connection

T = TypeVar("T")

TELL_SECONDS = 0.1
LEAVE_SECONDS = 5.0
"""How long a cancelled statement may take to end before it is left to itself."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a read is."""

    rows: int
    bytes: int
    """Of the rows in memory."""
    seconds: float
    """Since the statement was sent; the time before, waiting for a connection, does not count."""


class Reading:
    """A handle on a read: give it to `sql` or `table`, and cancel it from any thread.

    `tell` hears of the progress some ten times a second, in the thread that reads. One handle may serve
    several reads, one after the other; once cancelled, it ends them all.
    """

    def __init__(self, tell: Callable[[Progress], None] = lambda _: None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._connection: Connection | None = None
        self._began: float | None = None
        self._rows = 0
        self._bytes = 0

    @property
    def cancelled(self) -> bool:
        """Somebody has cancelled it."""
        return self._cancelled.is_set()

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        seconds = 0.0 if self._began is None else time.monotonic() - self._began
        return Progress(rows=self._rows, bytes=self._bytes, seconds=seconds)

    def cancel(self) -> None:
        """End the read under way, which raises StatementCancelled; it does not wait for that."""
        self._cancelled.set()
        self._interrupt()

    def require_wanted(self) -> None:
        """Raise StatementCancelled if it is cancelled."""
        if self.cancelled:
            raise StatementCancelled("The statement was cancelled.")

    def pause(self, seconds: float) -> None:
        """Wait for so long. Raises StatementCancelled as soon as it is cancelled."""
        if self._cancelled.wait(seconds):
            self.require_wanted()

    def count(self, batch: pa.RecordBatch) -> None:
        """Note a batch that has arrived."""
        self._rows += batch.num_rows
        self._bytes += batch.nbytes

    @contextmanager
    def on(self, connection: Connection) -> Iterator[None]:
        """While the block runs, cancelling means to cancel what the connection does."""
        self.require_wanted()
        self._rows = self._bytes = 0
        with self._lock:
            self._connection, self._began = connection, time.monotonic()
        try:
            self.require_wanted()
            yield
        finally:
            with self._lock:
                self._connection = None

    def wait_for(self, work: Callable[[], T], *, timeout_seconds: float) -> T:
        """What `work` answers, done in another thread, which uses `on` for what it asks of the database.

        Raises what it raises, StatementCancelled, or StatementTimeout.
        """
        done: Future[T] = Future()
        threading.Thread(target=_complete, args=(done, work), name="session-reading", daemon=True).start()
        try:
            while not wait([done], TELL_SECONDS).done:
                self._tell(self.progress)
                if self.cancelled or self.progress.seconds > timeout_seconds:
                    self._interrupt()
                    wait([done], LEAVE_SECONDS)
                    break
        except BaseException:
            self._interrupt()
            wait([done], LEAVE_SECONDS)
            raise
        if done.done() and not isinstance(done.exception(), SourceError):
            return done.result()
        self.require_wanted()
        if not done.done() or self.progress.seconds > timeout_seconds:
            raise StatementTimeout(
                f"The statement was ended after {timeout_seconds:g} seconds.",
                remedy="Ask for less, or allow more time.",
            )
        return done.result()

    def _interrupt(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.cancel()


def _complete(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
        done.set_exception(error)
