"""Small events with everything that is odd, and questions about them, for the tests of Explore."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from workbench.analysis.explore import (
    MEASURES,
    MOMENTS,
    OF_A_NUMBER,
    STEPS,
    Filter,
    Granularity,
    Measure,
    Operator,
    Question,
)
from workbench.analysis.fields import COLUMNS, Field

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_id": pl.String,
    "event_type": pl.String,
    "occurred_at": pl.Datetime("us", "UTC"),
    "occurred_on": pl.Date,
    "received_at": pl.Datetime("us", "UTC"),
    "lag_seconds": pl.Float64,
    "user_id": pl.String,
    "session_id": pl.String,
    "properties": pl.String,
}
KEYS = (
    "path",
    "",
    "a.b",
    "$",
    "*",
    "it's",
    'say "hi"',
    "back\\slash",
    "new\nline",
    "naïve ключ",
    "'; drop table marts.fct_usage_events; --",
    "$since",
    "%(x)s",
    "{0}",
    "user_id",
    "events",
    "k" * 80,
)
TEXTS = (
    "a",
    "A",
    "b",
    "",
    "ä",
    "日本",
    "x'y",
    "(none)",
    "null",
    "12",
    "true",
    "a\\b",
    "100%",
    "_",
    '{"a": 1}',
    "\U0001f600",
)
TYPES = ("page_view", "report.opened", "api_call")
USERS = ("a", "A", "b", "ä")
SESSIONS = ("s1", "s2", "S")
NUMBERS = (0, 1, -7, 12, 2.5, -0.25, 1e-7, 123456789012345678, 1e22, 10.0)
NESTED: tuple[object, ...] = ([], [1, "a"], {}, {"path": 1, "b": [2.5, None]}, {"": ""})
OLD = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
FIRST = datetime(2025, 12, 29, 22, tzinfo=UTC)

moments = st.sampled_from(
    [FIRST + timedelta(hours=hours, microseconds=part) for hours in (0, 1, 2, 26, 50, 170, 800) for part in (0, 1)]
    + [OLD, datetime(2024, 2, 29, 12, tzinfo=UTC)]
)
numbers = st.sampled_from(NUMBERS)
values = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.sampled_from(TEXTS),
    st.sampled_from(NESTED),
)
properties = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(TYPES),
        "occurred_at": moments,
        "received_at": moments,
        "user_id": st.none() | st.sampled_from(USERS),
        "session_id": st.none() | st.sampled_from(SESSIONS),
        "properties": properties,
    }
)


def some_events(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """So many events at random, of the same kinds; each property of each kind is there."""
    found = []
    for _ in range(count):
        at = FIRST + timedelta(hours=chance.choice((0, 1, 2, 26, 50, 170, 800)), microseconds=chance.randint(0, 1))
        keys = chance.sample(KEYS, chance.randint(0, 6))
        found.append(
            {
                "event_type": chance.choice(TYPES),
                "occurred_at": chance.choice((at, at, at, OLD)),
                "received_at": at + timedelta(seconds=chance.randint(-5, 90), microseconds=chance.randint(0, 999_999)),
                "user_id": chance.choice((None, *USERS)),
                "session_id": chance.choice((None, *SESSIONS)),
                "properties": {key: chance.choice((None, True, *NUMBERS, *TEXTS, *NESTED)) for key in keys},
            }
        )
    return found


columns = st.sampled_from([Field(name, "column") for name in COLUMNS])
keys = st.sampled_from([Field(name) for name in KEYS])
fields = columns | keys
measurable = keys | st.just(Field("lag_seconds", "column"))
texts = st.none() | st.sampled_from((*TEXTS, "page_view", "s1"))


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    """A filter that fits its operator."""
    operator: Operator = draw(st.sampled_from(["is", "is_not", "contains", "below", "at_least", "before", "since"]))
    if operator in ("before", "since"):
        field = Field(draw(st.sampled_from(MOMENTS)), "column")
        return Filter(field=field, operator=operator, value=draw(moments))
    if operator in ("below", "at_least"):
        return Filter(field=draw(measurable), operator=operator, value=float(draw(numbers)))
    if operator == "contains":
        return Filter(field=draw(fields), operator=operator, value=draw(st.sampled_from(TEXTS)))
    chosen = draw(st.lists(texts, min_size=1, max_size=3))
    return Filter(field=draw(fields), operator=operator, value=tuple(chosen))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Any question about such events."""
    measure: Measure = draw(st.sampled_from(MEASURES))
    granularity: Granularity | None = draw(st.none() | st.sampled_from(list(STEPS)))
    return Question(
        measure=measure,
        number=draw(measurable) if measure in OF_A_NUMBER else None,
        dimensions=tuple(draw(st.lists(fields, max_size=2, unique=True))),
        filters=tuple(draw(st.lists(filters(), max_size=2))),
        since=draw(st.none() | moments),
        until=draw(st.none() | moments),
        granularity=granularity,
    )


def assert_same(one: pl.DataFrame, other: pl.DataFrame, question: Question) -> None:
    """The same groups, in the same order where it does not depend on the last bit of a sum, with the same values.

    Which bit that is depends on the order in which numbers are added up.
    """
    assert one.schema == other.schema
    ours, theirs = _by_group(one, question.measure), _by_group(other, question.measure)
    assert ours.keys() == theirs.keys()
    if question.granularity or one.schema[question.measure].is_integer():
        assert list(ours) == list(theirs)
    for group, value in ours.items():
        expected = theirs[group]
        assert value == (expected if expected is None else pytest.approx(expected, rel=1e-12)), group


def _by_group(figures: pl.DataFrame, measure: str) -> dict[tuple[object, ...], object]:
    keys = [name for name in figures.columns if name != measure]
    found = {tuple(row[name] for name in keys): row[measure] for row in figures.iter_rows(named=True)}
    assert len(found) == figures.height, "a group occurs twice"
    return found
