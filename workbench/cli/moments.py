"""Moments as people type them: an RFC 3339 time with its offset, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec
import typer

AGO = re.compile(r"(\d{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str, now: datetime, option: str) -> datetime:
    """The moment that is meant. Raises typer.BadParameter, naming the option."""
    if ago := AGO.fullmatch(text):
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(
            "write a time with its offset, such as 2030-01-31T09:30:00Z, or how long ago, such as 24h",
            param_hint=option,
        )
    return moment.astimezone(UTC)
