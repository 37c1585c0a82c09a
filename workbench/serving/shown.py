"""Moments as the pages say them. Pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

STEPS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def moment(at: datetime, now: datetime) -> str:
    """A moment in UTC: the time, with the day unless it is today's, with the year unless it is this year's."""
    at = at.astimezone(UTC)
    time = f"{at:%H:%M} UTC"
    if at.date() == now.astimezone(UTC).date():
        return time
    year = f" {at.year}" if at.year != now.year else ""
    return f"{at.day} {at:%b}{year}, {time}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit, rounded down."""
    passed = now - at
    for step, name in STEPS:
        count = passed // step
        if count >= 1:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"
