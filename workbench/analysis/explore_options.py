"""What there is to choose from when a question is put: properties, values, periods; and what a brush means.

Properties are found in a sample, so that the work is bounded however many events there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from workbench.analysis.explore import NUMBERS, Granularity, Question, text_expression
from workbench.analysis.explore_properties import NUMBER_BEGINS, raw_values
from workbench.analysis.fields import COLUMNS, Field

SAMPLE = 10_000
"""In so many events, spread evenly, properties are looked for."""
MOST_PROPERTIES = 200
MOST_STEPS = 1_500
"""A period is not divided into more steps than can be told apart in a chart."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Properties(msgspec.Struct, frozen=True):
    """The properties found, the most frequent first; `numbers` are those of them that hold numbers at least once."""

    all: Sequence[Field]
    numbers: Sequence[Field]

    @property
    def dimensions(self) -> list[Field]:
        """By what events can be split and filtered as text."""
        return [*(Field(name, "column") for name in COLUMNS), *self.all]

    @property
    def measurable(self) -> list[Field]:
        """What a sum or a mean can be of."""
        return [*self.numbers, *(Field(name, "column") for name in NUMBERS)]


def properties_of(events: pl.LazyFrame, *, sample: int = SAMPLE) -> Properties:
    """The properties of a sample of `fct_usage_events`; ties by name."""
    height = events.select(pl.len()).collect().item()
    every = max(1, -(-height // sample))
    texts = events.select("properties").gather_every(every).collect()["properties"].drop_nulls()
    found: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for text in texts:
        values = raw_values(text)
        found.update(values.keys())
        numbers.update(key for key, value in values.items() if value[:1] in NUMBER_BEGINS)
    names = sorted(found, key=lambda name: (-found[name], name))[:MOST_PROPERTIES]
    return Properties([Field(name) for name in names], [Field(name) for name in names if numbers[name]])


def values_of(events: pl.LazyFrame, field: Field, *, most: int = 100) -> pl.DataFrame:
    """value, events: a field's most frequent values, null among them where it is missing; ties by value."""
    counted = events.select(text_expression(field).alias("value")).group_by("value").agg(pl.len().alias("events"))
    return counted.sort("events", "value", descending=[True, False], nulls_last=True).head(most).collect()


def bounds_of(events: pl.LazyFrame) -> tuple[datetime, datetime] | None:
    """The moments of the first and the last event; None without events."""
    at = pl.col("occurred_at")
    first, last = events.select(at.min().alias("first"), at.max().alias("last")).collect().row(0)
    return None if first is None else (first, last)


def last_days(last: datetime, days: int) -> tuple[datetime, datetime]:
    """The whole days that end with that of the last event; the end is the midnight after it."""
    until = start_of(last, "day") + timedelta(days=1)
    return until - timedelta(days=days), until


def suited(since: datetime, until: datetime) -> Granularity:
    """Into what a period is best divided."""
    days = (until - since) / timedelta(days=1)
    return "hour" if days <= 3 else "day" if days <= 120 else "week" if days <= 800 else "month"


def is_too_fine(granularity: Granularity, since: datetime, until: datetime) -> bool:
    """The period has more such steps than can be drawn."""
    length = {"hour": 1, "day": 24, "week": 168, "month": 730}[granularity]
    return (until - since) / timedelta(hours=length) > MOST_STEPS


def start_of(moment: datetime, granularity: Granularity) -> datetime:
    """The start of the hour, day, ISO week or month in which a moment lies, in UTC."""
    at = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if granularity == "hour":
        return at
    day = at.replace(hour=0)
    if granularity == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if granularity == "month" else day


def next_start(start: datetime, granularity: Granularity) -> datetime:
    """The start of the step after the one that begins with `start`."""
    if granularity == "month":
        return start_of(start + timedelta(days=31), "month")
    return start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[granularity]


def brushed(question: Question, selections: Mapping[str, Mapping[str, Any]]) -> Question | None:
    """The question narrowed to the steps that a brush touches; None without a brush.

    `selections` is what a chart tells: by the name of the brush, the interval of each column, of time in
    milliseconds since 1970 in UTC. The steps at the edges stay within the question's own period.
    """
    intervals = [interval for fields in selections.values() for interval in fields.values()]
    ends = next((interval for interval in intervals if isinstance(interval, list) and len(interval) == 2), None)
    if ends is None or question.granularity is None:
        return None
    first, last = sorted(EPOCH + timedelta(milliseconds=float(end)) for end in ends)
    since = start_of(first, question.granularity)
    until = start_of(last, question.granularity)
    if until < last or until == since:
        until = next_start(until, question.granularity)
    if question.since is not None:
        since = max(since, question.since)
    if question.until is not None:
        until = min(until, question.until)
    return question.within(since, until)
