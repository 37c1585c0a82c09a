"""A question's answer, on events small enough to be counted by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.workbench.analysis.explore_events import SCHEMA, assert_same, events, questions
from workbench.analysis.explore import Filter, Question, QuestionError, answer, figures, selected, single_events
from workbench.analysis.explore_code import as_polars, single_events_code
from workbench.analysis.fields import Field

PATH, SIZE = Field("path"), Field("size")
TYPE, USER = Field("event_type", "column"), Field("user_id", "column")


def frame_of(rows: list[dict[str, Any]]) -> pl.LazyFrame:
    """`fct_usage_events` of events whose properties are objects."""
    told = [
        {
            "event_id": f"e{number:03}",
            "lag_seconds": (row["received_at"] - row["occurred_at"]).total_seconds(),
            **row,
            "properties": json.dumps(row["properties"], ensure_ascii=False),
        }
        for number, row in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=SCHEMA).lazy()


def event(moment: str, user: str | None = "ann", session: str | None = None, **properties: object) -> dict[str, Any]:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return {
        "event_type": properties.pop("event_type", "page_view"),
        "occurred_at": at,
        "received_at": at,
        "user_id": user,
        "session_id": session,
        "properties": properties,
    }


WEEKS = frame_of(
    [
        event("2026-01-04 23:59", "ann", "s1", path="/a", size=1),
        event("2026-01-05 00:00", "ann", "s1", path="/b", size=2.5),
        event("2026-01-05 10:30", "bob", "s2", path="/a", size="3"),
        event("2026-01-06 10:31", None, None, path=None, event_type="api_call"),
        event("2026-01-31 10:59", "bob", "s2", event_type="api_call", size=-4),
    ]
)


class Reader:
    """Stands in for a Workbench with one table."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def table(self, name: str) -> pl.LazyFrame:
        assert name == "fct_usage_events"
        return self._frame


def run(code: str, frame: pl.LazyFrame) -> pl.DataFrame:
    """What code to take along leaves in `answer`."""
    names: dict[str, Any] = {"wb": Reader(frame)}
    exec(code, names)
    found = names["answer"]
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.mark.parametrize(
    ("question", "value"),
    [
        (Question(), 5),
        (Question(measure="active_users"), 2),
        (Question(measure="sessions"), 2),
        (Question(measure="events_per_user"), 2.0),
        (Question(measure="sum", number=SIZE), -0.5),
        (Question(measure="mean", number=SIZE), pytest.approx(-0.5 / 3)),
        (Question(measure="sum", number=PATH), None),
    ],
)
def test_each_measure_of_all_events(question: Question, value: float | None) -> None:
    assert answer(question, WEEKS).to_dicts() == [{question.measure: value}]


def test_nobody_is_no_user_and_nobody_divides_by_zero() -> None:
    of_nobody = Question(measure="events_per_user", filters=(Filter(field=USER, operator="is", value=(None,)),))
    assert answer(of_nobody, WEEKS).to_dicts() == [{"events_per_user": None}]


def test_weeks_begin_on_monday_and_months_on_the_first_in_utc() -> None:
    by_week = answer(Question(granularity="week"), WEEKS)
    assert by_week.rows() == [(date(2025, 12, 29), 1), (date(2026, 1, 5), 3), (date(2026, 1, 26), 1)]
    assert answer(Question(granularity="month"), WEEKS).rows() == [(date(2026, 1, 1), 5)]


def test_hours_are_moments() -> None:
    by_hour = answer(Question(granularity="hour"), WEEKS)
    assert by_hour["period"].to_list()[-1] == datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_groups_come_largest_first_with_those_that_have_none() -> None:
    found = answer(Question(dimensions=(PATH,)), WEEKS)
    assert found.rows() == [("/a", 2), (None, 2), ("/b", 1)] or found.rows() == [("/a", 2), ("/b", 1), (None, 2)]
    assert found.columns == ["properties.path", "events"]


def test_the_largest_groups_come_first_ties_by_name() -> None:
    assert answer(Question(dimensions=(PATH, TYPE)), WEEKS).rows() == [
        ("/a", "page_view", 2),
        (None, "api_call", 2),
        ("/b", "page_view", 1),
    ]


def test_the_end_of_a_period_does_not_belong_to_it() -> None:
    day = Question(since=datetime(2026, 1, 5, tzinfo=UTC), until=datetime(2026, 1, 5, 10, 30, tzinfo=UTC))
    assert answer(day, WEEKS).item() == 1


@pytest.mark.parametrize(
    ("one", "count"),
    [
        (Filter(field=PATH, operator="is", value=("/a",)), 2),
        (Filter(field=PATH, operator="is", value=("/b", None)), 3),
        (Filter(field=PATH, operator="is_not", value=("/a",)), 3),
        (Filter(field=PATH, operator="is_not", value=("/a", None)), 1),
        (Filter(field=PATH, operator="is_not", value=(None,)), 3),
        (Filter(field=PATH, operator="contains", value="b"), 1),
        (Filter(field=PATH, operator="contains", value="A"), 0),
        (Filter(field=SIZE, operator="below", value=2.5), 2),
        (Filter(field=SIZE, operator="at_least", value=2.5), 1),
        (Filter(field=Field("occurred_at", "column"), operator="before", value=datetime(2026, 1, 5, tzinfo=UTC)), 1),
        (Filter(field=Field("received_at", "column"), operator="since", value=datetime(2026, 1, 5, tzinfo=UTC)), 4),
    ],
)
def test_each_filter(one: Filter, count: int) -> None:
    assert answer(Question(filters=(one,)), WEEKS).item() == count


def test_single_events_are_the_latest_and_no_more_than_wanted() -> None:
    found = single_events(Question(filters=(Filter(field=TYPE, operator="is", value=("page_view",)),)), WEEKS, most=2)
    assert found["event_id"].to_list() == ["e002", "e001"]


def test_a_narrower_period_is_answered_from_what_was_found_for_the_longer_one() -> None:
    longer = Question(measure="active_users", dimensions=(PATH,), granularity="day")
    found = selected(longer, WEEKS).collect()
    narrow = longer.total().within(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
    assert figures(narrow, found).equals(answer(narrow, WEEKS))


@given(st.lists(events, max_size=12), questions())
@settings(max_examples=150)
def test_the_code_to_take_along_gives_the_same_figures(rows: list[dict[str, Any]], question: Question) -> None:
    frame = frame_of(rows)
    shown = answer(question, frame)
    assert_same(run(as_polars(question), frame), shown, question)


@given(st.lists(events, max_size=12), questions())
@settings(max_examples=50)
def test_the_code_for_single_events_gives_the_same_events(rows: list[dict[str, Any]], question: Question) -> None:
    frame = frame_of(rows)
    assert run(single_events_code(question, most=5), frame).equals(single_events(question, frame, most=5))


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: Question(measure="sum"), "do not go together"),
        (lambda: Question(number=SIZE), "do not go together"),
        (lambda: Question(dimensions=(Field("tenant_id", "column"),)), "tenant_id"),
        (lambda: Question(dimensions=(Field("user_id from x; --", "column"),)), "cannot be used"),
        (lambda: Question(measure="sum", number=USER), "cannot be used"),
        (lambda: Question(dimensions=(PATH, PATH)), "twice"),
        (lambda: Question(dimensions=(Field("a\0"),)), "zero character"),
        (lambda: Question(since=datetime.fromisoformat("2026-01-01")), "time zone"),
        (lambda: Filter(field=PATH, operator="is", value=()), "names no value"),
        (lambda: Filter(field=PATH, operator="is", value="a"), "does not take"),
        (lambda: Filter(field=PATH, operator="contains", value="\ud800"), "surrogate"),
        (lambda: Filter(field=USER, operator="below", value=1.0), "cannot be used"),
        (lambda: Filter(field=SIZE, operator="below", value=float("inf")), "finite"),
        (lambda: Filter(field=PATH, operator="before", value=datetime(2026, 1, 1, tzinfo=UTC)), "cannot be used"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(ask: Any, told: str) -> None:
    with pytest.raises(QuestionError, match=told):
        ask()
