"""Time as a parameter: what reads the clock takes it as an argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def hour_of(moment: datetime) -> int:
    """The hour that an aware time lies in, counted from 1970 in UTC."""
    return (moment - EPOCH) // HOUR
