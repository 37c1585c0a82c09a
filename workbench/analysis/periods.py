"""A period of time and the one before it that it may fairly be compared with; all in UTC.

A period that is not over is compared with the same part of the previous one: Monday to Wednesday noon with
Monday to Wednesday noon of the week before. One that is over is compared with the whole previous one, even if
that is longer or shorter, as months are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

import msgspec

Calendar = Literal["day", "week", "month", "quarter", "year"]
Rolling = Literal["7 days", "28 days", "90 days"]
Kind = Calendar | Rolling
Grain = Literal["hour", "day", "month"]

CALENDAR: tuple[Calendar, ...] = get_args(Calendar)
ROLLING: dict[Rolling, int] = {"7 days": 7, "28 days": 28, "90 days": 90}
KINDS: tuple[Kind, ...] = (*ROLLING, *CALENDAR)

MONTHS = {"month": 1, "quarter": 3, "year": 12}
QUIET = timedelta(days=28)
"""A tenant whose last event is older than this is shown as of then, not as of today."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A period and the one before it; from a first moment to an end that does not belong to it."""

    kind: Kind
    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime
    over: bool
    """It is a rolling period of whole days, or a calendar period that has ended."""

    @property
    def grain(self) -> Grain:
        """Into what it is divided when it is drawn."""
        if self.kind == "day":
            return "hour"
        return "month" if self.kind == "year" else "day"

    @property
    def last_day(self) -> date:
        """The last day of which it holds a part."""
        return last_day_of(self.end)


def window(kind: Kind, *, until: date, as_of: datetime) -> Window:
    """The period of `kind` that `until` is the last day of (rolling), or lies in (calendar), as known at `as_of`.

    Nothing after `as_of` belongs to it: a later `until` counts as its day.
    """
    until = min(until, last_day_of(as_of))
    end = min(as_of, _midnight(until + timedelta(days=1)))
    if kind in ROLLING:
        days = timedelta(days=ROLLING[kind])  # type: ignore[index]
        start = _midnight(until) - days + timedelta(days=1)
        over = end == start + days
        return Window(kind=kind, start=start, end=end, before_start=start - days, before_end=end - days, over=over)
    start, following, before = _calendar(kind, until)  # type: ignore[arg-type]
    over = end == following
    before_end = start if over else min(before + (end - start), start)
    return Window(kind=kind, start=start, end=end, before_start=before, before_end=before_end, over=over)


def latest_day(as_of: datetime, last_event: datetime | None) -> date:
    """Up to which day a tenant's data is shown at first: today, or the last event's day if that is long ago."""
    if last_event is None or as_of - last_event < QUIET:
        return last_day_of(as_of)
    return last_event.date()


def last_day_of(end: datetime) -> date:
    """The last day of which there is something before `end`; at midnight that is the day before."""
    return (end - timedelta(microseconds=1)).date()


def change(now: float | None, before: float | None) -> float | None:
    """By what part a figure grew, 0.5 for half as much again; None where there was nothing before."""
    return (now - before) / before if now is not None and before else None


def _calendar(kind: Calendar, until: date) -> tuple[datetime, datetime, datetime]:
    """The starts of the calendar period, of the next and of the previous one."""
    if kind == "day":
        start, length = _midnight(until), timedelta(days=1)
        return start, start + length, start - length
    if kind == "week":
        start, length = _midnight(until - timedelta(days=until.weekday())), timedelta(weeks=1)
        return start, start + length, start - length
    months = MONTHS[kind]
    first = until.year * 12 + (until.month - 1) // months * months
    start, following, before = (_month(first + step) for step in (0, months, -months))
    return start, following, before


def _month(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
