"""The thread that delivers for as long as a process lives.

Nothing that happens in it reaches the process's own work, and it ends soon after it is told to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from pipeline.core.errors import DatabaseUnavailable
from pipeline.notify import outbox
from pipeline.notify.delivery import Deliverer

SECONDS_BETWEEN_PASSES = 5.0
SECONDS_BETWEEN_TIDYINGS = 3600.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
GRACE_SECONDS = 3.0
"""How long the end of the block waits for the thread; a notification that it leaves in flight is sent again."""

Connect = Callable[[], psycopg.Connection]

log = logging.getLogger(__name__)


@contextmanager
def delivering(
    connect: Connect, deliverer: Deliverer | None, *, seconds_between_passes: float = SECONDS_BETWEEN_PASSES
) -> Iterator[None]:
    """While the block runs, deliver what becomes due. Without a deliverer the outbox is only kept tidy.

    `connect`: a new connection as the publisher, in autocommit.
    """
    stop = threading.Event()
    work = _Courier(connect, deliverer, stop, seconds_between_passes)
    thread = threading.Thread(target=work.run, name="notifications", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(GRACE_SECONDS)


class _Courier:
    def __init__(
        self, connect: Connect, deliverer: Deliverer | None, stop: threading.Event, seconds_between_passes: float
    ) -> None:
        self._connect = connect
        self._deliverer = deliverer
        self._stop = stop
        self._pause = seconds_between_passes
        self._retry = FIRST_RETRY_SECONDS

    def run(self) -> None:
        """Work until told to stop, through whatever the database does meanwhile."""
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._work_for_a_while(connection)
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("notifications wait for the database, again in %g s: %s", self._retry, _line(error))
                self._stop.wait(self._retry)
                self._retry = min(self._retry * 2, LONGEST_RETRY_SECONDS)
            else:
                if self._deliverer is None:
                    self._stop.wait(SECONDS_BETWEEN_TIDYINGS)

    def _work_for_a_while(self, connection: psycopg.Connection) -> None:
        """Tidy once, then deliver until it is time to tidy again."""
        outbox.tidy(connection)
        end = time.monotonic() + SECONDS_BETWEEN_TIDYINGS
        while self._deliverer and not self._stop.is_set() and time.monotonic() < end:
            self._deliverer.deliver(connection, ending=self._stop.is_set)
            self._retry = FIRST_RETRY_SECONDS
            self._stop.wait(self._pause)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
