"""How long a notification waits after each attempt that failed, and when it is given up."""

from __future__ import annotations

from datetime import timedelta

HALF_A_DAY = timedelta(hours=12)
DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    *(HALF_A_DAY,) * 5,
)
"""The longest wait after the first attempt, the second, and so on: 70 hours together."""
MOST_ATTEMPTS = len(DELAYS) + 1
SPREAD = 0.2
"""The part of a wait that chance may take off, so that what failed together is not tried together again."""


def delay(attempts: int, chance: float) -> timedelta | None:
    """How long to wait after so many attempts (from 1 on), or None where that was the last.

    `chance`: from 0, for the longest wait, up to 1.
    """
    if attempts > len(DELAYS):
        return None
    return DELAYS[attempts - 1] * (1 - SPREAD * chance)
