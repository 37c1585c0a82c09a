"""What the notebook Retention begins with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from workbench.analysis import retention_choices as choices

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("days", "expected"), [(3, "Days"), (60, "Weeks"), (800, "Months")])
def test_the_longer_there_have_been_events_the_longer_the_periods(days: int, expected: str) -> None:
    assert choices.usual_period((START, START + timedelta(days=days))) == expected


def test_event_types_are_those_of_users_the_most_common_first() -> None:
    events = pl.LazyFrame(
        {"event_type": ["a", "b", "b", "c", "d"], "user_id": ["ann", "ann", "bob", "bob", None]},
    )
    assert choices.event_types(events) == ["b", "a", "c"]


def test_the_latest_cohorts_are_those_with_members() -> None:
    days = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 2, 1), date(2026, 9, 1)]
    members = pl.DataFrame({"user_id": ["ann", "bob", "cid", "dan"], "cohort": days})
    assert choices.latest(members, 2)["user_id"].to_list() == ["bob", "cid", "dan"]
