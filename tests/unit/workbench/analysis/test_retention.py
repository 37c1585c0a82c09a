"""Retention, against a model that asks one user and one period after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.fields import Field
from workbench.analysis.retention import Period, Retention, cells, curve, members

FIRST = datetime(2025, 12, 27, tzinfo=UTC)
"""A Saturday: a week, a month and a year change within the next days."""
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_type": pl.String,
    "occurred_at": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "properties": pl.String,
}


@dataclass(frozen=True)
class Event:
    event_type: str
    at: datetime
    user_id: str | None
    plan: str | None = None


def on(day: int, user: str | None = "ann", event_type: str = "visit", plan: str | None = None) -> Event:
    return Event(event_type, FIRST + timedelta(days=day, hours=9), user, plan)


def frame(events: list[Event]) -> pl.LazyFrame:
    rows = [
        (event.event_type, event.at, event.user_id, json.dumps({"plan": event.plan} if event.plan else {}))
        for event in events
    ]
    return pl.LazyFrame(rows, schema=SCHEMA, orient="row")


def period_of(at: datetime, period: Period) -> date:
    day = at.date()
    if period == "month":
        return day.replace(day=1)
    return day if period == "day" else day - timedelta(days=day.weekday())


def following(start: date, period: Period) -> date:
    if period == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=1 if period == "day" else 7)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def fits(event: Event, event_type: str | None, as_of: datetime) -> bool:
    return event.at <= as_of and event_type in (None, event.event_type)


def model(events: list[Event], asked: Retention, as_of: datetime) -> Iterator[dict[str, Any]]:
    """The cells, found by walking from period to period."""
    firsts = {}
    for user in {event.user_id for event in events} - {None}:
        own = [event for event in events if event.user_id == user and fits(event, asked.first_type, as_of)]
        if own:
            at = min(event.at for event in own)
            plans = [event.plan for event in own if event.at == at and event.plan]
            firsts[user] = (at, min(plans, default=None) if asked.segment else None)
    for cohort, plan in sorted({(period_of(at, asked.period), plan) for at, plan in firsts.values()}, key=repr):
        group = [user for user, (at, of) in firsts.items() if (period_of(at, asked.period), of) == (cohort, plan)]
        starts = cohort
        for n in range(asked.most_periods + 1):
            ends = following(starts, asked.period)
            if midnight(starts) > as_of:
                break
            retained = 0
            for user in group:
                came = {
                    period_of(event.at, asked.period)
                    for event in events
                    if event.user_id == user and fits(event, asked.return_type, as_of) and event.at >= firsts[user][0]
                }
                retained += starts in came if asked.kind == "classic" else any(day >= starts for day in came)
            yield {
                "segment": plan,
                "cohort": cohort,
                "users": len(group),
                "n": n,
                "starts_on": starts,
                "retained": retained,
                "share": retained / len(group),
                "open": midnight(ends) > as_of,
            }
            starts = ends


EVENTS = st.lists(
    st.builds(
        Event,
        event_type=st.sampled_from(["visit", "buy"]),
        at=st.one_of(st.integers(0, 200), st.integers(0, 2_000)).map(lambda hours: FIRST + timedelta(hours=hours)),
        user_id=st.sampled_from(["ann", "bob", "cid", None]),
        plan=st.sampled_from([None, "free", "paid"]),
    ),
    max_size=20,
)
ASKED = st.builds(
    Retention,
    period=st.sampled_from(["day", "week", "month"]),
    kind=st.sampled_from(["classic", "unbounded"]),
    first_type=st.sampled_from([None, "visit"]),
    return_type=st.sampled_from([None, "visit", "buy"]),
    segment=st.sampled_from([None, Field("plan")]),
    most_periods=st.integers(1, 6),
)
TODAY = st.one_of(st.integers(0, 400), st.integers(0, 2_000)).map(lambda hours: FIRST + timedelta(hours=hours))


def found(events: list[Event], asked: Retention, as_of: datetime) -> pl.DataFrame:
    known = frame(events)
    return cells(known, members(known, asked, as_of), asked, as_of)


@settings(max_examples=300)
@given(EVENTS, ASKED, TODAY)
def test_each_cell_is_what_asking_every_user_answers(events: list[Event], asked: Retention, as_of: datetime) -> None:
    expected = sorted(model(events, asked, as_of), key=repr)
    rows = [{"segment": None, **row} for row in found(events, asked, as_of).to_dicts()]
    assert sorted(rows, key=repr) == expected


@given(EVENTS, ASKED, TODAY)
def test_the_curve_gives_each_user_the_same_weight_and_leaves_open_periods_out(
    events: list[Event], asked: Retention, as_of: datetime
) -> None:
    sums: dict[tuple[str | None, int], list[int]] = {}
    for cell in model(events, asked, as_of):
        if not cell["open"]:
            add = sums.setdefault((cell["segment"], cell["n"]), [0, 0, 0])
            add[:] = [add[0] + 1, add[1] + cell["users"], add[2] + cell["retained"]]
    rows = curve(found(events, asked, as_of)).to_dicts()
    told = {(row.get("segment"), row["n"]): [row["cohorts"], row["users"], row["retained"]] for row in rows}
    assert told == sums
    assert all(row["share"] == row["retained"] / row["users"] for row in rows)


def shares(events: list[Event], asked: Retention, as_of: datetime) -> list[float]:
    return found(events, asked, as_of)["share"].to_list()


def test_classic_asks_for_the_very_period_and_unbounded_for_it_or_a_later_one() -> None:
    events = [on(0), on(3), on(0, "bob")]
    as_of = FIRST + timedelta(days=5)
    classic = Retention(period="day", kind="classic", most_periods=4)
    unbounded = Retention(period="day", kind="unbounded", most_periods=4)
    assert shares(events, classic, as_of) == [1.0, 0.0, 0.0, 0.5, 0.0]
    assert shares(events, unbounded, as_of) == [1.0, 0.5, 0.5, 0.5, 0.0]


def test_a_period_that_is_not_over_is_marked_and_one_that_has_not_begun_is_not_there() -> None:
    table = found([on(0), on(1)], Retention(period="day"), FIRST + timedelta(days=1, hours=12))
    assert table.select("n", "retained", "open").rows() == [(0, 1, False), (1, 1, True)]
    assert curve(table).select("n", "users", "share").rows() == [(0, 1, 1.0)]


def test_a_returning_event_before_the_first_one_is_no_return() -> None:
    events = [on(0, event_type="buy"), on(1, event_type="visit"), on(2, event_type="buy")]
    asked = Retention(period="day", first_type="visit", return_type="buy", most_periods=1)
    assert shares(events, asked, FIRST + timedelta(days=9)) == [0.0, 1.0]


def test_what_a_clock_that_is_ahead_says_has_not_happened() -> None:
    assert found([on(0), on(30)], Retention(period="day"), FIRST + timedelta(days=2))["n"].to_list() == [0, 1, 2]
    assert found([on(30)], Retention(period="day"), FIRST + timedelta(days=2)).is_empty()


def test_nobody_is_retained_where_nobody_is_known() -> None:
    assert found([on(0, None), on(1, None)], Retention(period="week"), FIRST + timedelta(days=9)).is_empty()
    assert curve(found([], Retention(period="week"), FIRST)).is_empty()
