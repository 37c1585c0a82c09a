"""Something that is costly to know: read again at most every few seconds, and never waited for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import psycopg

from pipeline.core.errors import WorkbenchError

GOOD_FOR_SECONDS = 60.0

T = TypeVar("T")


class Refreshed(Generic[T]):
    """Keeps the last answer of `read`, which runs in a thread of its own.

    An answer that cannot be had is None; a defect in `read` is not hidden, its thread tells it.
    """

    def __init__(self, read: Callable[[], T], *, every_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._read = read
        self._every = every_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began_at: float | None = None
        self._value: T | None = None
        self._read_at = clock()
        self.problem: str | None = None
        """Why the last look failed, if it did."""

    def value(self, *, patience: float) -> T | None:
        """The newest answer that can be had within so many seconds; one that is too old begins another look."""
        with self._lock:
            if self._is_due():
                self._began_at = self._clock()
                self._thread = threading.Thread(target=self._refresh, name="refresh", daemon=True)
                self._thread.start()
            thread = self._thread
        if thread is not None and patience:
            thread.join(patience)
        # Where the look hangs, the figures of long ago must not pass for those of now.
        return self._value if self._clock() - self._read_at < GOOD_FOR_SECONDS else None

    def _is_due(self) -> bool:
        if self._thread is not None and self._thread.is_alive():
            return False
        return self._began_at is None or self._clock() - self._began_at >= self._every

    def _refresh(self) -> None:
        try:
            self._value, self.problem = self._read(), None
            self._read_at = self._clock()
        except WorkbenchError as error:
            self._value, self.problem = None, error.message
        except psycopg.Error as error:
            self._value, self.problem = None, f"PostgreSQL gave up: {error}"
