"""Periods and what they are compared with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.periods import KINDS, Kind, change, latest_day, window

NOON = datetime(2026, 3, 18, 12, tzinfo=UTC)
"""A Wednesday."""
LONG_AFTER = datetime(2026, 12, 1, tzinfo=UTC)


MOMENTS = st.dates(date(2019, 1, 1), date(2027, 12, 31)).flatmap(
    lambda day: st.times().map(lambda time: datetime.combine(day, time, tzinfo=UTC))
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "start", "before_start", "before_end"),
    [
        ("day", "2026-03-18", "2026-03-17", "2026-03-17 12:00"),
        ("week", "2026-03-16", "2026-03-09", "2026-03-11 12:00"),
        ("month", "2026-03-01", "2026-02-01", "2026-02-18 12:00"),
        ("quarter", "2026-01-01", "2025-10-01", "2025-12-16 12:00"),
        ("year", "2026-01-01", "2025-01-01", "2025-03-18 12:00"),
        ("7 days", "2026-03-12", "2026-03-05", "2026-03-11 12:00"),
        ("28 days", "2026-02-19", "2026-01-22", "2026-02-18 12:00"),
    ],
)
def test_a_period_that_is_not_over_is_compared_with_the_same_part(
    kind: Kind, start: str, before_start: str, before_end: str
) -> None:
    found = window(kind, until=NOON.date(), as_of=NOON)
    assert (found.start, found.end, found.over) == (moment(start), NOON, False)
    assert (found.before_start, found.before_end) == (moment(before_start), moment(before_end))


def test_a_period_that_is_over_is_compared_with_the_whole_previous_one() -> None:
    march = window("month", until=date(2026, 3, 31), as_of=LONG_AFTER)
    assert (march.end, march.over) == (moment("2026-04-01"), True)
    assert (march.before_start, march.before_end) == (moment("2026-02-01"), moment("2026-03-01"))
    february = window("month", until=date(2026, 2, 28), as_of=LONG_AFTER)
    assert (february.before_start, february.before_end) == (moment("2026-01-01"), moment("2026-02-01"))


def test_the_same_part_never_reaches_into_the_period_itself() -> None:
    """By 30 March more of March is over than February has days."""
    march = window("month", until=date(2026, 3, 30), as_of=LONG_AFTER)
    assert (march.over, march.before_end) == (False, moment("2026-03-01"))


@pytest.mark.parametrize(
    ("until", "start"),
    [("2026-01-01", "2025-12-29"), ("2025-12-29", "2025-12-29"), ("2025-12-28", "2025-12-22")],
)
def test_weeks_begin_on_monday_across_the_year(until: str, start: str) -> None:
    assert window("week", until=date.fromisoformat(until), as_of=LONG_AFTER).start == moment(start)


@pytest.mark.parametrize(
    ("until", "start", "before_start"),
    [("2026-01-15", "2026-01-01", "2025-10-01"), ("2026-12-31", "2026-10-01", "2026-07-01")],
)
def test_quarters_are_those_of_the_year(until: str, start: str, before_start: str) -> None:
    found = window("quarter", until=date.fromisoformat(until), as_of=LONG_AFTER + timedelta(days=60))
    assert (found.start, found.before_start) == (moment(start), moment(before_start))


def test_nothing_after_what_is_published_belongs_to_a_period() -> None:
    assert window("day", until=date(2030, 1, 1), as_of=NOON) == window("day", until=NOON.date(), as_of=NOON)


def test_what_is_published_up_to_midnight_ends_with_the_day_before() -> None:
    found = window("day", until=date(2026, 3, 18), as_of=moment("2026-03-18"))
    assert (found.start, found.end, found.over) == (moment("2026-03-17"), moment("2026-03-18"), True)
    assert found.last_day == date(2026, 3, 17)


@given(
    kind=st.sampled_from(KINDS),
    until=st.dates(date(2019, 1, 1), date(2027, 12, 31)),
    as_of=MOMENTS,
)
def test_the_two_periods_never_overlap_and_are_fairly_long(kind: str, until: date, as_of: datetime) -> None:
    found = window(cast(Kind, kind), until=until, as_of=as_of)
    assert found.before_start < found.before_end <= found.start < found.end <= as_of
    assert found.start.date() <= found.last_day <= until
    if not found.over:
        assert found.before_end - found.before_start == min(found.end - found.start, found.start - found.before_start)


def test_a_tenant_is_shown_as_of_today_or_of_its_last_event_if_that_is_long_ago() -> None:
    assert latest_day(NOON, NOON - timedelta(days=27)) == NOON.date()
    assert latest_day(NOON, NOON - timedelta(days=28)) == date(2026, 2, 18)
    assert latest_day(NOON, NOON + timedelta(days=1)) == NOON.date()
    assert latest_day(NOON, None) == NOON.date()


@pytest.mark.parametrize(
    ("now", "before", "grown"),
    [(3, 2, 0.5), (0, 2, -1.0), (3, 0, None), (0, 0, None), (None, 1, None), (1, None, None)],
)
def test_a_change_from_nothing_has_no_rate(now: float | None, before: float | None, grown: float | None) -> None:
    assert change(now, before) == grown
