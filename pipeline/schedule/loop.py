"""The promotion loop of the embedded mode: one promotion per slot, in a process that stays.

Slots are multiples of the interval since the Unix epoch, so an hourly loop promotes on the hour. A
slot that passes during a promotion is not made up for: the next promotion takes everything that
waits. The loop does not know what promoting is, and it keeps no state that a restart would lose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from pipeline.core.clock import Clock
from pipeline.core.errors import WorkbenchError

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 30.0
"""A laptop that slept wakes up late: the wall clock is asked again after this long."""

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Stop(Protocol):
    """The part of `threading.Event` that the loop needs."""

    def is_set(self) -> bool:
        """Whether the loop is to end."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait as many seconds at the most; whether the loop is to end."""
        ...


def run_loop(
    promote: Callable[[], object], *, pending: Callable[[], bool], every: timedelta, clock: Clock, stop: Stop
) -> None:
    """Promote at once if something is pending, then in every slot, until `stop` is set.

    An error that waiting may heal (the database is away, another promotion runs) is retried, ever
    more slowly. Any other known error is logged, and the next slot tries again. What is not a
    WorkbenchError is a defect and ends the loop.
    """
    if _retrying(pending, stop):
        _retrying(promote, stop)
    while _wait_until(next_slot(clock(), every), clock, stop):
        _retrying(promote, stop)


def next_slot(now: datetime, every: timedelta) -> datetime:
    """The first multiple of `every` after `now`, counted from the Unix epoch."""
    seconds = every.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)


def _wait_until(due: datetime, clock: Clock, stop: Stop) -> bool:
    """Wait for a moment of the wall clock; whether the loop goes on."""
    while not stop.is_set():
        left = (due - clock()).total_seconds()
        if left <= 0:
            return True
        stop.wait(min(left, LONGEST_WAIT_SECONDS))
    return False


def _retrying(work: Callable[[], Answer], stop: Stop) -> Answer | None:
    """What `work` answers; None if it failed for good or the loop is to end."""
    delay = FIRST_RETRY_SECONDS
    while not stop.is_set():
        try:
            return work()
        except WorkbenchError as error:
            if not error.retryable:
                log.error("%s", error, extra=error.about)
                return None
            log.warning("%s Trying again in %g seconds.", error, delay, extra=error.about)
        stop.wait(delay)
        delay = min(delay * 2, LONGEST_RETRY_SECONDS)
    return None
