"""How much a product is used, by whom, and what changed: the figures of the overview.

`events` is fct_usage_events, `users` is dim_users. Each figure is of two parts, "now" and "before": the two
periods of a Window. Definitions:

- active users: distinct users with an event in the period; events without a user count as events only;
- sessions: distinct sessions with an event in the period;
- stickiness: how many of the users of 28 days come on an average day; days without anybody count as days;
- a user is new in the period that holds the user's first event, and returning in every later one.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec
import polars as pl

from workbench.analysis.periods import Kind, Window, change, window

Segment = Literal["everybody", "new", "returning"]
Measure = Literal["active_users", "events", "sessions"]

NOW, BEFORE = "now", "before"
PARTS = pl.DataFrame({"part": [NOW, BEFORE]})
MEASURES = {
    "events": pl.len().cast(pl.Int64),
    "active_users": pl.col("user_id").drop_nulls().n_unique().cast(pl.Int64),
    "sessions": pl.col("session_id").drop_nulls().n_unique().cast(pl.Int64),
}
HEADLINE = {
    "measure": pl.String,
    "kind": pl.String,
    "start": pl.Date,
    "last_day": pl.Date,
    "over": pl.Boolean,
    "now": pl.Float64,
    "before": pl.Float64,
    "change": pl.Float64,
}
STEPS = {"hour": "1h", "day": "1d", "month": "1mo"}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when there are events, and of which types."""

    first_at: datetime
    last_at: datetime
    event_types: list[str]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at: a period that ends with `until` as known at `as_of`, and of whom and what."""

    kind: Kind
    until: date
    as_of: datetime
    segment: Segment = "everybody"
    event_type: str | None = None

    @property
    def window(self) -> Window:
        """The chosen period and the one before it."""
        return window(self.kind, until=self.until, as_of=self.as_of)


def span(events: pl.LazyFrame) -> Span | None:
    """What there is to choose from; None where there is no event."""
    at = pl.col("occurred_at")
    row = events.select(
        at.min().alias("first_at"), at.max().alias("last_at"), pl.col("event_type").unique().sort().implode()
    ).collect()
    first_at, last_at, event_types = row.row(0)
    return None if first_at is None else Span(first_at=first_at, last_at=last_at, event_types=list(event_types))


def parts(events: pl.LazyFrame, users: pl.LazyFrame, selection: Selection, period: Window) -> pl.LazyFrame:
    """The selected events of a period and of the one before, told apart by a column `part`."""
    at = pl.col("occurred_at")
    is_now = _within(at, period.start, period.end)
    is_before = _within(at, period.before_start, period.before_end)
    found = events.filter(is_now | is_before).with_columns(
        pl.when(is_now).then(pl.lit(NOW)).otherwise(pl.lit(BEFORE)).alias("part")
    )
    if selection.event_type is not None:
        found = found.filter(pl.col("event_type") == selection.event_type)
    if selection.segment == "everybody":
        return found
    known = found.join(users.select("user_id", "first_seen_at"), on="user_id", how="inner")
    began = pl.when(pl.col("part") == NOW).then(pl.lit(period.start)).otherwise(pl.lit(period.before_start))
    is_new = pl.col("first_seen_at") >= began
    return known.filter(is_new if selection.segment == "new" else ~is_new).drop("first_seen_at")


def headline(events: pl.LazyFrame, users: pl.LazyFrame, selection: Selection) -> pl.DataFrame:
    """measure, kind, start, last_day, over, now, before, change: the six figures that a page opens with.

    Active users are those of the day, week and month of `until`, events and sessions those of the selected
    period, stickiness that of 28 days. `kind` says which; now and before are null where nothing can be said.
    """
    asked: list[tuple[str, Kind]] = [("active_users", "day"), ("active_users", "week"), ("active_users", "month")]
    asked += [("events", selection.kind), ("sessions", selection.kind), ("stickiness", "28 days")]
    rows = [_figure(events, users, selection, measure, kind) for measure, kind in asked]
    return pl.DataFrame(rows, schema=HEADLINE, orient="row")


def _figure(
    events: pl.LazyFrame, users: pl.LazyFrame, selection: Selection, measure: str, kind: Kind
) -> tuple[object, ...]:
    period = window(kind, until=selection.until, as_of=selection.as_of)
    found = parts(events, users, selection, period)
    now, before = stickiness(found, period) if measure == "stickiness" else totals(found)[measure]
    return measure, kind, period.start.date(), period.last_day, period.over, now, before, change(now, before)


def totals(found: pl.LazyFrame) -> pl.DataFrame:
    """Of `parts`: part, events, active_users, sessions; two rows, now and before, also where there is nothing."""
    counted = found.group_by("part").agg(**MEASURES).collect()
    return PARTS.join(counted, on="part", how="left", maintain_order="left").fill_null(0)


def stickiness(found: pl.LazyFrame, window: Window) -> tuple[float | None, float | None]:
    """Of `parts` of 28 days: the average day's active users of all active users, now and before, from 0 to 1.

    None where nobody was active.
    """
    daily = found.group_by("part", pl.col("occurred_at").dt.date()).agg(MEASURES["active_users"])
    a_day = daily.group_by("part").agg(pl.col("user_id").sum().alias("user_days")).collect()
    both = totals(found).join(a_day, on="part", how="left", maintain_order="left")
    days = (window.last_day - window.start.date()).days + 1
    shares = [
        user_days / days / active if active else None
        for active, user_days in both.select("active_users", "user_days").iter_rows()
    ]
    return shares[0], shares[1]


def over_time(found: pl.LazyFrame, window: Window, measure: Measure) -> pl.DataFrame:
    """Of `parts`: part, place, starts_at, value, unfinished; a row for each step of the period, the empty ones too.

    `place` counts the steps of both parts from 0, so that they can be laid over each other; `unfinished` tells
    the steps that the part's end cuts short.
    """
    step = STEPS[window.grain]
    counted = (
        found.group_by("part", pl.col("occurred_at").dt.truncate(step).alias("starts_at"))
        .agg(MEASURES[measure].alias("value"))
        .collect()
    )
    steps = pl.concat(
        [
            _steps(NOW, window.start, window.end, step),
            _steps(BEFORE, window.before_start, window.before_end, step),
        ]
    )
    joined = steps.join(counted, on=["part", "starts_at"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("value").fill_null(0)).select("part", "place", "starts_at", "value", "unfinished")


def by_type(found: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Of `parts`: event_type, events, events_before, difference, change, active_users, share, trend; most events first.

    `share` is of all events now, `trend` the events of each step of the period now. Types of either part are there.
    """
    split = found.group_by("event_type", "part").agg(MEASURES["events"], MEASURES["active_users"]).collect()
    split = split.rename({"len": "events", "user_id": "active_users"})
    now = split.filter(pl.col("part") == NOW).drop("part")
    before = split.filter(pl.col("part") == BEFORE).select("event_type", pl.col("events").alias("events_before"))
    both = now.join(before, on="event_type", how="full", coalesce=True).with_columns(
        pl.col("events", "events_before", "active_users").fill_null(0)
    )
    both = _compared(both, "events", "events_before").join(_trends(found, window), on="event_type", how="left")
    total = pl.col("events").sum()
    share = pl.when(total > 0).then(pl.col("events") / total)
    return both.sort("events", "events_before", "event_type", descending=[True, True, False]).select(
        "event_type", "events", "events_before", "difference", "change", "active_users", share.alias("share"), "trend"
    )


def movers(found: pl.LazyFrame, *, most: int = 8) -> pl.DataFrame:
    """Of `parts`: what, name, events, events_before, difference, change; by how many events they changed.

    `what` is event_type or user_id. Who and what did not change is left out.
    """
    counted = [
        found.group_by(pl.lit(what).alias("what"), pl.col(what).alias("name"))
        .agg(
            (pl.col("part") == NOW).sum().cast(pl.Int64).alias("events"),
            (pl.col("part") == BEFORE).sum().cast(pl.Int64).alias("events_before"),
        )
        .filter(pl.col("name").is_not_null() & (pl.col("events") != pl.col("events_before")))
        for what in ("event_type", "user_id")
    ]
    compared = _compared(pl.concat(counted).collect(), "events", "events_before")
    return compared.sort(pl.col("difference").abs(), "what", "name", descending=[True, False, False]).head(most)


def _within(at: pl.Expr, start: datetime, end: datetime) -> pl.Expr:
    return (at >= start) & (at < end)


def _compared(frame: pl.DataFrame, now: str, before: str) -> pl.DataFrame:
    difference = pl.col(now) - pl.col(before)
    rate = pl.when(pl.col(before) > 0).then(difference / pl.col(before))
    return frame.with_columns(difference.alias("difference"), rate.alias("change"))


def _steps(part: str, start: datetime, end: datetime, step: str) -> pl.DataFrame:
    """The steps from `start`, the last of which `end` may cut short."""
    starts = pl.datetime_range(start, end, step, closed="left", time_unit="us", eager=True).alias("starts_at")
    return pl.DataFrame({"starts_at": starts}).select(
        pl.lit(part).alias("part"),
        pl.int_range(pl.len()).alias("place"),
        "starts_at",
        (pl.col("starts_at").dt.offset_by(step) > end).alias("unfinished"),
    )


def _trends(found: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """event_type, trend: of the period now, the events of each of its steps."""
    step = STEPS[window.grain]
    steps = _steps(NOW, window.start, window.end, step).select("starts_at")
    now = found.filter(pl.col("part") == NOW)
    counted = (
        now.group_by("event_type", pl.col("occurred_at").dt.truncate(step).alias("starts_at"))
        .agg(MEASURES["events"].alias("events"))
        .collect()
    )
    every = found.select("event_type").unique().collect().join(steps, how="cross")
    filled = every.join(counted, on=["event_type", "starts_at"], how="left").with_columns(pl.col("events").fill_null(0))
    return filled.sort("event_type", "starts_at").group_by("event_type").agg(pl.col("events").alias("trend"))
