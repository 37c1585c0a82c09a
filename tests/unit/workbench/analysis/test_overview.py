"""The overview's figures, on events small enough to count by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from workbench.analysis import overview
from workbench.analysis.overview import Selection

AS_OF = datetime(2026, 3, 18, 12, tzinfo=UTC)
EVENTS = {
    "event_type": pl.String(),
    "occurred_at": pl.Datetime("us", "UTC"),
    "user_id": pl.String(),
    "session_id": pl.String(),
}
USERS = {"user_id": pl.String(), "first_seen_at": pl.Datetime("us", "UTC")}


def events(*rows: tuple[str, str, str | None, str | None]) -> pl.LazyFrame:
    """Of type, moment, user and session."""
    return pl.DataFrame(
        [(kind, at(moment), user, session) for kind, moment, user, session in rows], schema=EVENTS, orient="row"
    ).lazy()


def users(**seen: str) -> pl.LazyFrame:
    """By when they were first seen."""
    return pl.DataFrame([(user, at(moment)) for user, moment in seen.items()], schema=USERS, orient="row").lazy()


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def selection(**overrides: Any) -> Selection:
    """The week of Wednesday, 18 March, at noon."""
    chosen: dict[str, Any] = {"kind": "week", "until": AS_OF.date(), "as_of": AS_OF}
    return Selection(**chosen | overrides)


WEEK = events(
    ("page_view", "2026-03-16 00:00", "u1", "s1"),
    ("page_view", "2026-03-17 09:00", "u1", "s2"),
    ("page_view", "2026-03-17 10:00", "u2", "s3"),
    ("api_call", "2026-03-18 11:59", None, None),
    ("page_view", "2026-03-18 12:00", "u9", "s9"),
    ("page_view", "2026-03-09 08:00", "u1", "s4"),
    ("form_submit", "2026-03-11 11:00", "u3", "s5"),
    ("page_view", "2026-03-11 13:00", "u8", "s8"),
)
SEEN = users(
    u1="2026-01-01", u2="2026-03-17 10:00", u3="2026-03-11 11:00", u8="2026-03-11 13:00", u9="2026-03-18 12:00"
)


def found(chosen: Selection, of: pl.LazyFrame = WEEK) -> pl.LazyFrame:
    return overview.parts(of, SEEN, chosen, chosen.window)


def test_both_periods_are_counted_up_to_the_same_moment() -> None:
    assert overview.totals(found(selection())).rows() == [("now", 4, 2, 3), ("before", 2, 2, 2)]


def test_events_without_a_user_are_events_of_nobody() -> None:
    of = events(("api_call", "2026-03-18 10:00", None, None))
    assert overview.totals(found(selection(), of)).rows() == [("now", 1, 0, 0), ("before", 0, 0, 0)]


def test_new_users_are_those_first_seen_in_the_period_itself() -> None:
    assert overview.totals(found(selection(segment="new"))).rows() == [("now", 1, 1, 1), ("before", 1, 1, 1)]


def test_returning_users_were_seen_before_the_period() -> None:
    assert overview.totals(found(selection(segment="returning"))).rows() == [("now", 2, 1, 2), ("before", 1, 1, 1)]


def test_an_event_type_can_be_looked_at_alone() -> None:
    assert overview.totals(found(selection(event_type="form_submit"))).rows() == [("now", 0, 0, 0), ("before", 1, 1, 1)]


def test_the_headline_compares_day_week_and_month_with_the_same_part() -> None:
    rows = overview.headline(WEEK, SEEN, selection()).select("measure", "kind", "now", "before", "change").rows()
    assert rows == [
        ("active_users", "day", 0.0, 2.0, -1.0),
        ("active_users", "week", 2.0, 2.0, 0.0),
        ("active_users", "month", 4.0, 0.0, None),
        ("events", "week", 4.0, 2.0, 1.0),
        ("sessions", "week", 3.0, 2.0, 0.5),
        ("stickiness", "28 days", 6 / 28 / 4, None, None),
    ]


def test_the_headline_of_nothing_has_no_stickiness_and_divides_by_nothing() -> None:
    rows = overview.headline(events(), users(), selection()).select("now", "before", "change").rows()
    assert rows == [(0.0, 0.0, None)] * 5 + [(None, None, None)]


def test_stickiness_is_the_average_day_by_the_users_of_all_days() -> None:
    """u1 comes on two days, u2 on one: 3 user days in 28 days, of 2 users."""
    chosen = selection(kind="28 days")
    of = events(
        ("page_view", "2026-03-16 08:00", "u1", None),
        ("page_view", "2026-03-16 09:00", "u1", None),
        ("page_view", "2026-03-17 08:00", "u1", None),
        ("page_view", "2026-03-17 08:00", "u2", None),
        ("page_view", "2026-02-16 08:00", "u2", None),
        ("page_view", "2026-03-18 08:00", None, None),
    )
    assert overview.stickiness(found(chosen, of), chosen.window) == (3 / 28 / 2, 1 / 28)


def test_every_step_of_both_periods_has_a_row_and_the_last_is_unfinished() -> None:
    steps = overview.over_time(found(selection()), selection().window, "events")
    assert steps.select("part", "place", "value", "unfinished").rows() == [
        ("now", 0, 1, False),
        ("now", 1, 2, False),
        ("now", 2, 1, True),
        ("before", 0, 1, False),
        ("before", 1, 0, False),
        ("before", 2, 1, True),
    ]


@pytest.mark.parametrize(("kind", "steps"), [("day", 12), ("28 days", 28), ("year", 3)])
def test_a_day_has_hours_and_a_year_has_months(kind: Any, steps: int) -> None:
    chosen = selection(kind=kind)
    drawn = overview.over_time(found(chosen), chosen.window, "active_users")
    assert drawn.filter(pl.col("part") == "now").height == steps


def test_types_of_either_period_are_compared() -> None:
    counted = overview.by_type(found(selection()), selection().window)
    assert counted.rows() == [
        ("page_view", 3, 1, 2, 2.0, 2, 0.75, [1, 2, 0]),
        ("api_call", 1, 0, 1, None, 0, 0.25, [0, 0, 1]),
        ("form_submit", 0, 1, -1, -1.0, 0, 0.0, [0, 0, 0]),
    ]


def test_no_types_are_no_rows() -> None:
    assert overview.by_type(found(selection(), events()), selection().window).is_empty()


def test_movers_are_ordered_by_how_much_they_changed() -> None:
    moved = overview.movers(found(selection()), most=3)
    assert moved.select("what", "name", "difference").rows() == [
        ("event_type", "page_view", 2),
        ("event_type", "api_call", 1),
        ("event_type", "form_submit", -1),
    ]
    assert ("user_id", "u3", -1) in overview.movers(found(selection())).select("what", "name", "difference").rows()


def test_what_did_not_change_is_no_mover() -> None:
    of = events(("page_view", "2026-03-16 08:00", "u1", None), ("page_view", "2026-03-09 08:00", "u1", None))
    assert overview.movers(found(selection(), of)).is_empty()


def test_the_span_is_that_of_all_events() -> None:
    span = overview.span(WEEK)
    assert span == overview.Span(
        first_at=at("2026-03-09 08:00"), last_at=AS_OF, event_types=["api_call", "form_submit", "page_view"]
    )
    assert overview.span(events()) is None


def test_figures_depend_on_what_is_published_and_not_on_the_clock() -> None:
    later = selection(until=date(2031, 1, 1))
    assert overview.headline(WEEK, SEEN, later).equals(overview.headline(WEEK, SEEN, selection()))
