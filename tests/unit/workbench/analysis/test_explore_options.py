"""What Explore offers, and what a brush on its chart means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workbench.analysis.explore_events import SCHEMA
from workbench.analysis import explore_choices as choices
from workbench.analysis.explore import STEPS, Filter, Granularity, Question, QuestionError
from workbench.analysis.explore_options import (
    MOST_PROPERTIES,
    bounds_of,
    brushed,
    is_too_fine,
    next_start,
    properties_of,
    start_of,
    suited,
    values_of,
)
from workbench.analysis.fields import Field

JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - they get one
granularities: st.SearchStrategy[Granularity] = st.sampled_from(list(STEPS))


def events_with(*properties: Mapping[str, object], **columns: object) -> pl.LazyFrame:
    row = dict.fromkeys(SCHEMA) | {"event_type": "a", "occurred_at": JANUARY} | columns
    return pl.DataFrame([{**row, "properties": json.dumps(each)} for each in properties], schema=SCHEMA).lazy()


def ms(moment: datetime) -> float:
    return moment.timestamp() * 1000


def test_properties_are_found_with_the_most_frequent_first_and_numbers_told_apart() -> None:
    found = properties_of(events_with({"b": 1, "a": "x"}, {"b": "y"}, {"c": [1]}, {}))
    assert found.all == [Field("b"), Field("a"), Field("c")]
    assert found.numbers == [Field("b")]
    assert Field("lag_seconds", "column") in found.measurable


def test_many_events_are_sampled_evenly() -> None:
    found = properties_of(events_with(*({"early" if at < 50 else "late": at} for at in range(100))), sample=10)
    assert found.all == [Field("early"), Field("late")]


def test_properties_beyond_measure_are_cut_to_the_most_frequent() -> None:
    found = properties_of(events_with({"often": 1}, {f"k{at}": 1 for at in range(500)} | {"often": 1}))
    assert len(found.all) == MOST_PROPERTIES
    assert found.all[0] == Field("often")


def test_values_come_with_the_missing_one_among_them() -> None:
    found = values_of(events_with({"a": "x"}, {"a": "x"}, {}, {"a": 1}), Field("a"), most=2)
    assert found.rows() == [("x", 2), ("1", 1)]
    assert values_of(events_with({}, {}, {"a": "x"}), Field("a")).rows() == [(None, 2), ("x", 1)]


def test_without_events_there_are_no_bounds() -> None:
    assert bounds_of(events_with({}).head(0)) is None
    assert bounds_of(events_with({})) == (JANUARY, JANUARY)


@given(moments, granularities)
def test_a_moment_lies_in_the_step_that_begins_before_it(moment: datetime, granularity: Granularity) -> None:
    start = start_of(moment, granularity)
    assert start <= moment < next_start(start, granularity)
    assert start_of(next_start(start, granularity), granularity) == next_start(start, granularity)
    truncated = pl.select(pl.lit(moment, pl.Datetime("us", "UTC")).dt.truncate(STEPS[granularity])).item()
    assert start == truncated


@given(moments, st.timedeltas(timedelta(hours=1), timedelta(days=40_000)))
def test_what_fits_a_period_can_be_drawn(since: datetime, length: timedelta) -> None:
    assert not is_too_fine(suited(since, since + length), since, since + length)


def test_a_brush_takes_the_steps_that_it_touches() -> None:
    asked = Question(granularity="day", since=JANUARY, until=FEBRUARY)
    ends = [ms(datetime(2026, 1, 3, 12, tzinfo=UTC)), ms(datetime(2026, 1, 5, 1, tzinfo=UTC))]
    narrow = brushed(asked, {"brush": {"period": ends}})
    assert narrow == asked.within(datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))


def test_a_brush_from_the_right_and_one_beyond_the_period_stay_within_it() -> None:
    asked = Question(
        granularity="month", since=datetime(2026, 1, 10, tzinfo=UTC), until=datetime(2026, 2, 5, tzinfo=UTC)
    )
    ends = [ms(datetime(2026, 3, 1, tzinfo=UTC)), ms(datetime(2025, 12, 20, tzinfo=UTC))]
    assert brushed(asked, {"brush": {"period": ends}}) == asked


def test_a_brush_that_ends_with_a_step_does_not_take_the_next() -> None:
    asked = Question(granularity="day")
    narrow = brushed(asked, {"brush": {"period": [ms(JANUARY), ms(JANUARY + timedelta(days=2))]}})
    assert narrow is not None
    assert narrow.until == JANUARY + timedelta(days=2)


@pytest.mark.parametrize("selections", [{}, {"brush": {}}, {"brush": {"period": []}}])
def test_without_a_brush_nothing_is_narrowed(selections: dict[str, dict[str, list[float]]]) -> None:
    assert brushed(Question(granularity="day"), selections) is None


def test_a_period_ends_with_the_day_of_the_last_event() -> None:
    bounds = (datetime(2025, 3, 1, 7, tzinfo=UTC), datetime(2026, 1, 31, 15, tzinfo=UTC))
    assert choices.period_of("Last 7 days", None, bounds) == (datetime(2026, 1, 25, tzinfo=UTC), FEBRUARY)
    assert choices.period_of("All time", None, bounds) == (datetime(2025, 3, 1, tzinfo=UTC), FEBRUARY)
    days = (date(2026, 1, 31), date(2026, 1, 1))
    assert choices.period_of(choices.BETWEEN, days, bounds) == (JANUARY, FEBRUARY)


def test_a_tenant_with_few_events_begins_with_all_of_them() -> None:
    few = events_with(*[{}] * (choices.FEW - 1))
    assert choices.usual_period(few, (JANUARY, JANUARY)) == "All time"
    assert choices.usual_period(events_with(*[{}] * choices.FEW), (JANUARY, JANUARY)) == "Last 90 days"


def test_a_granularity_that_is_too_fine_gives_way_to_one_that_fits() -> None:
    def asked(granularity: Granularity | None, days: int) -> Question:
        period = (JANUARY, JANUARY + timedelta(days=days))
        return choices.question_of(
            measure="events", number=None, dimensions=[], filters=[None], period=period, granularity=granularity
        )

    assert asked("hour", 3650).granularity == "month"
    assert asked("hour", 30).granularity == "hour"
    assert asked(None, 30).granularity == "day"


def test_a_number_that_is_left_over_from_another_measure_is_not_asked_for() -> None:
    question = choices.question_of(
        measure="events",
        number=Field("size"),
        dimensions=[],
        filters=[],
        period=(JANUARY, FEBRUARY),
        granularity=None,
    )
    assert question.number is None


def test_an_input_becomes_a_filter_once_something_is_put_in() -> None:
    path, size, at = Field("path"), Field("size"), Field("occurred_at", "column")
    assert choices.filter_of(path, "is", []) is None
    assert choices.filter_of(path, "contains", "") is None
    assert choices.filter_of(size, "below", None) is None
    assert choices.filter_of(path, "is", ["a", None]) == Filter(field=path, operator="is", value=("a", None))
    assert choices.filter_of(size, "below", 0) == Filter(field=size, operator="below", value=0.0)
    naive = datetime.fromisoformat("2026-01-01")
    assert choices.filter_of(at, "since", naive) == Filter(field=at, operator="since", value=JANUARY)


def test_every_operator_that_is_offered_is_one_that_the_field_takes() -> None:
    found = properties_of(events_with({"size": 1, "path": "x"}))
    values = {
        "is": ["a"],
        "is_not": [None],
        "contains": "a",
        "below": 1,
        "at_least": 1,
        "before": JANUARY,
        "since": JANUARY,
    }
    for field in choices.filterable(found).values():
        for name, operator in choices.OPERATORS.items():
            if name in choices.operators_for(field, found):
                assert choices.filter_of(field, operator, values[operator]) is not None
            elif field.of == "column":
                with pytest.raises(QuestionError):
                    choices.filter_of(field, operator, values[operator])


def test_a_row_of_the_breakdown_is_left_by_its_filters() -> None:
    path = Field("path")
    question = Question(dimensions=(path,))
    filters = choices.filters_of_group(question, {"properties.path": None, "events": None})
    assert filters == [Filter(field=path, operator="is", value=(None,))]


@given(st.lists(st.none() | st.text(max_size=8), max_size=6, unique=True))
def test_no_two_values_are_read_alike(texts: list[str | None]) -> None:
    assert len({choices.value_name(text) for text in texts}) == len(texts)
