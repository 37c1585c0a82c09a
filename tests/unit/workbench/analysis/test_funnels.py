"""Funnels, against a model that tries every choice of events, one user at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.fields import OTHERS, WITHOUT, Field, lumped
from workbench.analysis.funnels import (
    Counted,
    Funnel,
    FunnelRefused,
    conversion,
    lost_after,
)
from workbench.analysis.funnels_steps import Filter, Step

SUNDAY = datetime(2026, 3, 1, 20, tzinfo=UTC)
"""Evening: a week and a day change four hours later."""
AS_OF = SUNDAY + timedelta(hours=12)
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_type": pl.String,
    "occurred_at": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "session_id": pl.String,
    "properties": pl.String,
}
VISIT, TRY, BUY = Step("visit"), Step("try"), Step("buy")


@dataclass(frozen=True)
class Event:
    event_type: str
    hour: int
    user_id: str | None = "ann"
    n: int | None = None

    @property
    def at(self) -> datetime:
        return SUNDAY + timedelta(hours=self.hour)


def frame(events: list[Event]) -> pl.LazyFrame:
    rows = [
        {
            "event_type": event.event_type,
            "occurred_at": event.at,
            "user_id": event.user_id,
            "session_id": None if event.user_id is None else f"s-{event.user_id}-{event.hour // 6}",
            "properties": json.dumps({} if event.n is None else {"n": event.n}),
        }
        for event in events
    ]
    return pl.LazyFrame(rows, schema=SCHEMA)


def counts(step: Step, event: Event) -> bool:
    if step.event_type != event.event_type:
        return False
    return step.where is None or str(event.n) == step.where.value


def starting(funnel: Funnel, event: Event) -> bool:
    day = event.at.date()
    return counts(funnel.steps[0], event) and (funnel.since or day) <= day <= (funnel.until or day)


def every_sequence(funnel: Funnel, events: list[Event]) -> Iterator[list[Event]]:
    """All sequences of one actor's events, also those of some first steps only."""

    def longer(chosen: list[int]) -> Iterator[list[Event]]:
        yield [events[place] for place in chosen]
        if len(chosen) == len(funnel.steps):
            return
        last = events[chosen[-1]].at
        for place, event in enumerate(events):
            fits = place not in chosen and event.at >= last and counts(funnel.steps[len(chosen)], event)
            if not fits or event.at - events[chosen[0]].at > funnel.window:
                continue
            if funnel.between == "anything" or not any(last < other.at < event.at for other in events):
                yield from longer([*chosen, place])

    for place, event in enumerate(events):
        if starting(funnel, event):
            yield from longer([place])


def journey(funnel: Funnel, events: list[Event]) -> list[datetime] | None:
    """The moments of the steps of the sequence that is told of an actor."""
    told = [[event.at for event in found] for found in every_sequence(funnel, events)]
    if not told:
        return None
    return min(told, key=lambda ats: (-len(ats), ats[-1], -ats[0].timestamp(), ats))


def by_actor(events: list[Event]) -> dict[str, list[Event]]:
    users = {event.user_id for event in events if event.user_id is not None}
    return {user: [event for event in events if event.user_id == user] for user in users}


EVENTS = st.lists(
    st.builds(
        Event,
        event_type=st.sampled_from(["visit", "try", "buy"]),
        hour=st.integers(0, 9),
        user_id=st.sampled_from(["ann", "ann", "ann", "bob", None]),
        n=st.sampled_from([1, 2, None]),
    ),
    min_size=5,
    max_size=14,
)
STEPS = st.builds(
    Step,
    event_type=st.sampled_from(["visit", "try", "buy"]),
    where=st.sampled_from([None, None, Filter(Field("n"), "is", "1"), Filter(Field("n"), "is", "2")]),
)
FUNNELS = st.builds(
    Funnel,
    steps=st.lists(STEPS, min_size=2, max_size=6).map(tuple),
    window=st.sampled_from([2, 4, 9]).map(lambda hours: timedelta(hours=hours)),
    between=st.sampled_from(["anything", "nothing"]),
    since=st.sampled_from([None, None, date(2026, 3, 2)]),
    until=st.sampled_from([None, None, date(2026, 3, 1)]),
)


@settings(max_examples=400)
@given(EVENTS, FUNNELS)
def test_of_each_user_the_journey_is_told_that_a_search_through_all_choices_finds(
    events: list[Event], funnel: Funnel
) -> None:
    expected = {user: told for user, own in by_actor(events).items() if (told := journey(funnel, own))}
    found = Counted(frame(events), funnel, AS_OF).journeys
    assert {row["actor"]: ats(row, funnel) for row in found.to_dicts()} == expected
    assert found["steps"].to_list() == [len(expected[actor]) for actor in found["actor"]]


@given(EVENTS, FUNNELS)
def test_a_user_is_open_who_can_still_convert(events: list[Event], funnel: Funnel) -> None:
    expected = {}
    for user, own in by_actor(events).items():
        starts = [event.at for event in own if starting(funnel, event)]
        if starts:
            done = len(journey(funnel, own) or []) == len(funnel.steps)
            expected[user] = not done and max(starts) + funnel.window > AS_OF
    assert dict(Counted(frame(events), funnel, AS_OF).journeys.select("actor", "open").iter_rows()) == expected


@given(EVENTS, FUNNELS)
def test_each_week_counts_who_began_in_it_and_who_converted_from_there(events: list[Event], funnel: Funnel) -> None:
    begun: set[tuple[date, str]] = set()
    converted: set[tuple[date, str]] = set()
    for user, own in by_actor(events).items():
        for sequence in every_sequence(funnel, own):
            week = monday(sequence[0].at)
            begun.add((week, user))
            if len(sequence) == len(funnel.steps):
                converted.add((week, user))
    weeks = Counted(frame(events), funnel, AS_OF).weeks()
    for row in weeks.to_dicts():
        starters = sum(week == row["week"] for week, _ in begun)
        reached = sum(week == row["week"] for week, _ in converted)
        assert (row["begun"], row["converted"]) == (starters, reached)
        assert row["share"] == (reached / starters if starters else None)
    assert {week for week, _ in begun} <= set(weeks["week"])


@given(EVENTS, FUNNELS)
def test_figures_of_the_steps_are_those_of_the_journeys(events: list[Event], funnel: Funnel) -> None:
    told = [found for own in by_actor(events).values() if (found := journey(funnel, own))]
    table = conversion(Counted(frame(events), funnel, AS_OF).journeys, funnel).to_dicts()
    reached = [sum(len(ats) > place for ats in told) for place in range(len(funnel.steps))]
    assert [row["reached"] for row in table] == reached
    assert [row["lost"] for row in table] == [*(a - b for a, b in pairwise(reached)), None]
    for place, row in enumerate(table):
        if place:
            passed = [(ats[place] - ats[place - 1]).total_seconds() for ats in told if len(ats) > place]
            assert row["median_seconds"] == (median(passed) if passed else None)
            assert row["share_of_previous"] == (reached[place] / reached[place - 1] if reached[place - 1] else None)
        assert row["share"] == (reached[place] / reached[0] if reached[0] else None)


def ats(row: dict[str, Any], funnel: Funnel) -> list[datetime]:
    found = [row[f"step_{place}_at"] for place in range(1, len(funnel.steps) + 1)]
    return [at for at in found if at is not None]


def monday(at: datetime) -> date:
    return at.date() - timedelta(days=at.weekday())


def funnel_of(*steps: Step, hours: int = 5, **rest: Any) -> Funnel:
    return Funnel(steps=steps, window=timedelta(hours=hours), **rest)


def reached(events: list[Event], funnel: Funnel) -> list[int]:
    return conversion(Counted(frame(events), funnel, AS_OF).journeys, funnel)["reached"].to_list()


def test_a_later_start_converts_where_the_first_one_is_too_early() -> None:
    events = [Event("visit", 0), Event("visit", 7), Event("buy", 8)]
    assert reached(events, funnel_of(VISIT, BUY)) == [1, 1]


def test_the_window_is_inclusive_to_the_microsecond() -> None:
    events = [Event("visit", 0), Event("buy", 5)]
    assert reached(events, funnel_of(VISIT, BUY)) == [1, 1]
    just_less = Funnel(steps=(VISIT, BUY), window=timedelta(hours=5) - timedelta(microseconds=1))
    assert reached(events, just_less) == [1, 0]


def test_events_of_the_same_microsecond_have_no_order() -> None:
    assert reached([Event("buy", 1), Event("visit", 1)], funnel_of(VISIT, BUY)) == [1, 1]


def test_an_event_stands_for_one_step_only() -> None:
    assert reached([Event("visit", 1)], funnel_of(VISIT, VISIT)) == [1, 0]
    assert reached([Event("visit", 1), Event("visit", 1)], funnel_of(VISIT, VISIT)) == [1, 1]


def test_of_two_events_each_takes_the_step_that_only_it_can_be() -> None:
    either, first_only = Event("visit", 1, n=1), Event("visit", 1, n=2)
    funnel = funnel_of(VISIT, Step("visit", Filter(Field("n"), "is", "1")))
    assert reached([either, first_only], funnel) == [1, 1]
    assert reached([first_only, first_only], funnel) == [1, 0]


def test_strictly_nothing_may_lie_between_two_steps() -> None:
    events = [Event("visit", 0), Event("try", 1), Event("buy", 2)]
    assert reached(events, funnel_of(VISIT, BUY)) == [1, 1]
    assert reached(events, funnel_of(VISIT, BUY, between="nothing")) == [1, 0]
    assert reached(events, funnel_of(VISIT, TRY, BUY, between="nothing")) == [1, 1, 1]


def test_the_journey_told_starts_as_late_and_goes_on_as_early_as_it_can() -> None:
    events = [Event("visit", 0), Event("visit", 1), Event("try", 2), Event("try", 3), Event("buy", 4)]
    row = Counted(frame(events), funnel_of(VISIT, TRY, BUY), AS_OF).journeys.row(0, named=True)
    assert [row[f"step_{place}_at"] for place in (1, 2, 3)] == [SUNDAY + timedelta(hours=hour) for hour in (1, 2, 4)]


def test_of_several_conversions_the_first_is_told() -> None:
    events = [Event("visit", 0), Event("buy", 2), Event("visit", 5), Event("buy", 6)]
    row = Counted(frame(events), funnel_of(VISIT, BUY), AS_OF).journeys.row(0, named=True)
    assert row["step_2_at"] - row["step_1_at"] == timedelta(hours=2)


def test_sessions_are_counted_apart() -> None:
    events = [Event("visit", 0), Event("buy", 7), Event("visit", 12), Event("buy", 13)]
    assert reached(events, funnel_of(VISIT, BUY, hours=20)) == [1, 1]
    assert reached(events, funnel_of(VISIT, BUY, hours=20, counting="sessions")) == [2, 1]


def test_segments_are_of_the_first_step_and_add_up() -> None:
    events = [
        Event("visit", 0, "ann", n=1),
        Event("buy", 1, "ann", n=2),
        Event("visit", 0, "bob", n=1),
        Event("visit", 0, "cid", n=2),
        Event("visit", 0, "dan"),
    ]
    funnel = funnel_of(VISIT, BUY)
    journeys = Counted(frame(events), funnel, AS_OF).by(Field("n"))
    table = conversion(lumped(journeys, most=5), funnel, "segment")
    assert table.select("segment", "step", "reached", "share").rows() == [
        (WITHOUT, 1, 1, 1.0),
        (WITHOUT, 2, 0, 0.0),
        ("1", 1, 2, 1.0),
        ("1", 2, 1, 0.5),
        ("2", 1, 1, 1.0),
        ("2", 2, 0, 0.0),
    ]
    few = conversion(lumped(journeys, most=1), funnel, "segment")
    assert few.filter(step=1).select("segment", "reached").rows() == [(OTHERS, 2), ("1", 2)]


def test_the_lost_are_told_latest_first_and_not_more_than_asked_for() -> None:
    events = [Event("visit", hour, user) for user, hour in [("ann", 1), ("bob", 3), ("cid", 2)]]
    journeys = Counted(frame([*events, Event("buy", 4, "cid")]), funnel_of(VISIT, BUY), AS_OF).journeys
    assert lost_after(journeys, 1, most=10)["actor"].to_list() == ["bob", "ann"]
    assert lost_after(journeys, 1, most=1)["actor"].to_list() == ["bob"]


def test_without_events_every_figure_is_there_and_none_is_invented() -> None:
    funnel = funnel_of(VISIT, BUY)
    counted = Counted(frame([]), funnel, AS_OF)
    assert conversion(counted.journeys, funnel).select("reached", "share", "median_seconds").rows() == [
        (0, None, None),
        (0, None, None),
    ]
    assert counted.weeks().is_empty()


@pytest.mark.parametrize("steps", [1, 7])
def test_a_funnel_has_two_to_six_steps(steps: int) -> None:
    with pytest.raises(FunnelRefused, match="2 to 6 steps"):
        funnel_of(*[VISIT] * steps)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(FunnelRefused, match="longer window"):
        funnel_of(VISIT, BUY, hours=0)
