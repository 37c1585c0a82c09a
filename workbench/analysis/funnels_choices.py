"""The choices of the notebook Funnels, as people read them, and what to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from workbench.analysis.explore_options import values_of
from workbench.analysis.fields import Field
from workbench.analysis.funnels import ACTORS, MOST, Counting
from workbench.analysis.funnels_sequences import Between
from workbench.analysis.funnels_steps import COMPARISONS, Comparison, Filter, Step

COUNTING: dict[str, Counting] = {"Users": "users", "Sessions": "sessions"}
BETWEEN: dict[str, Between] = {"Anything": "anything", "Nothing else": "nothing"}
WINDOWS: dict[str, timedelta] = {
    "10 minutes": timedelta(minutes=10),
    "1 hour": timedelta(hours=1),
    "1 day": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
    "90 days": timedelta(days=90),
    "1 year": timedelta(days=365),
}
EVERY_EVENT, NO_SEGMENT = "any properties", "None"
USUAL_STEPS = 3
WORDS: dict[str, Comparison] = {comparison: comparison for comparison in COMPARISONS}


def countable(events: pl.LazyFrame) -> dict[str, Counting]:
    """What of users and sessions the events name at all."""
    named = events.select(pl.col(column).is_not_null().any().alias(of) for of, column in ACTORS.items()).collect()
    return {name: of for name, of in COUNTING.items() if named[of].item()}


def event_types(events: pl.LazyFrame, counting: Counting) -> list[str]:
    """The event types, those of the most users (or sessions) first; ties by events, then by which was there first."""
    reach = pl.col(ACTORS[counting]).drop_nulls().n_unique().alias("reach")
    began = pl.col("occurred_at").min().alias("began")
    counted = events.group_by("event_type").agg(reach, pl.len(), began)
    ordered = counted.sort("reach", "len", "began", "event_type", descending=[True, True, False, False])
    return ordered.collect()["event_type"].to_list()


def usual_types(types: Sequence[str]) -> list[str]:
    """An event type for each step that there may be: each once, then again from the first."""
    return [types[place % len(types)] for place in range(MOST)]


def values(events: pl.LazyFrame, event_type: str, field: Field) -> list[str]:
    """What a field says in events of a type, the most frequent first."""
    found = values_of(events.filter(pl.col("event_type") == event_type), field)["value"]
    return found.drop_nulls().to_list()


def last_day(until: datetime) -> date:
    """The last whole day before a midnight."""
    return (until - timedelta(days=1)).date()


def step_of(event_type: str, field: Field | None, comparison: str | None, value: object) -> Step:
    """The step that is chosen; without a value to compare with, all events of the type count."""
    if field is None or comparison is None:
        return Step(event_type)
    word = WORDS[comparison]
    if word != "is known" and value in (None, ""):
        return Step(event_type)
    return Step(event_type, Filter(field, word, "" if word == "is known" else str(value)))
