"""Funnels: how many users, or sessions, get through ordered steps within a window of time.

What a sequence of steps is, to the microsecond, stands in `funnels_sequences`. Events without a user (or session)
belong to nobody and count nowhere. All days and weeks are UTC's, weeks begin on Monday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import msgspec
import polars as pl

from pipeline.core.errors import WorkbenchError
from workbench.analysis.fields import Field
from workbench.analysis.funnels_sequences import Between, completions, instants, sequences
from workbench.analysis.funnels_steps import Step

Counting = Literal["users", "sessions"]
FEWEST, MOST = 2, 6
ACTORS: dict[Counting, str] = {"users": "user_id", "sessions": "session_id"}


class FunnelRefused(WorkbenchError):
    """The funnel cannot be counted."""


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted. Raises FunnelRefused for less than two or more than six steps, or a window of nothing."""

    steps: tuple[Step, ...]
    window: timedelta
    """From the first step to each later one, inclusive."""
    counting: Counting = "users"
    between: Between = "anything"
    """What else the user (or session) may do between two steps."""
    since: date | None = None
    until: date | None = None
    """First and last UTC day of the first step; later steps may lie after it."""

    def __post_init__(self) -> None:
        if not FEWEST <= len(self.steps) <= MOST:
            raise FunnelRefused(
                f"A funnel has {FEWEST} to {MOST} steps, not {len(self.steps)}.", remedy="Add or remove steps."
            )
        if self.window <= timedelta(0):
            raise FunnelRefused("The window of a funnel is longer than nothing.", remedy="Choose a longer window.")


class Counted:
    """A funnel over events: `journeys`, one row per user or session, from which all else follows, and the weeks.

    journeys: actor, steps (how many it got through, at least 1), step_1_at … step_n_at (null if not reached),
    open (did not complete, but its last first step is so recent that it still can, at `as_of`).
    """

    def __init__(self, events: pl.LazyFrame, funnel: Funnel, as_of: datetime) -> None:
        self.funnel = funnel
        self._as_of = as_of
        self._events = _of_actors(events, funnel)
        rows = instants(self._events, [step.matches() for step in funnel.steps], funnel.between)
        self._rows = rows.with_columns(_within(funnel).alias("startable"))
        self.journeys = self._journeys()

    def _journeys(self) -> pl.DataFrame:
        funnel, steps = self.funnel, len(self.funnel.steps)
        told = sequences(self._rows, steps, funnel.window, funnel.between)
        begun = self._rows.filter("startable", "can_1_1").group_by("actor").agg(pl.col("at").max().alias("last"))
        still = (pl.col("steps") < steps) & (pl.col("last") + funnel.window > self._as_of)
        return told.join(begun, on="actor", how="left").with_columns(still.alias("open")).drop("last").sort("actor")

    def by(self, field: Field) -> pl.DataFrame:
        """The journeys with `segment`: what the event of the first step says; null if nothing.

        Of several such events at the same microsecond the smallest value counts.
        """
        firsts = self._events.filter(self.funnel.steps[0].matches())
        said = firsts.select("actor", pl.col("at").alias("step_1_at"), field.text().alias("segment"))
        smallest = said.drop_nulls().group_by("actor", "step_1_at").agg(pl.col("segment").min()).collect()
        return self.journeys.join(smallest, on=["actor", "step_1_at"], how="left")

    def weeks(self) -> pl.DataFrame:
        """week (its Monday), begun, converted, share (null where nobody began), open; no week left out.

        A user began in each week with a first step, and converted if a complete sequence starts in that week.
        A week is open while someone who began in it can still convert.
        """
        funnel = self.funnel
        starts = completions(self._rows, len(funnel.steps), funnel.window, funnel.between)
        week = pl.col("at").dt.truncate("1w").dt.date().alias("week")
        users = starts.group_by("actor", week).agg(pl.col("completed").any())
        counted = users.group_by("week").agg(pl.len().alias("begun"), pl.col("completed").sum().alias("converted"))
        over = pl.col("week").cast(pl.Datetime("us", "UTC")) + timedelta(days=7) + funnel.window
        return _every_week(counted).with_columns(
            pl.col("begun", "converted").cast(pl.Int64),
            (pl.col("converted") / pl.col("begun")).fill_nan(None).alias("share"),
            (over > self._as_of).alias("open"),
        )


def conversion(journeys: pl.DataFrame, funnel: Funnel, *by: str) -> pl.DataFrame:
    """One row per step (and per value of the columns `by`), in order.

    step (1 …), event (the step for people), reached, share (of those with the first step), share_of_previous,
    lost (reached this one, not the next; null at the last), median_seconds (from the step before, of those who
    reached this one; null at the first) and median_total_seconds (from the first).
    """
    steps = len(funnel.steps)
    reached = [_step(journeys, funnel, k, by) for k in range(1, steps + 1)]
    table = pl.concat(reached)
    first = table.filter(pl.col("step") == 1).select(*by, pl.col("reached").alias("begun"))
    table = table.join(first, on=list(by), how="left", nulls_equal=True) if by else table.join(first, how="cross")
    grouped = list(by)
    previous, following = pl.col("reached").shift(1), pl.col("reached").shift(-1)
    if grouped:
        previous, following = previous.over(grouped, order_by="step"), following.over(grouped, order_by="step")
    return table.sort(*by, "step").select(
        *by,
        "step",
        "event",
        "reached",
        _share(pl.col("reached"), pl.col("begun")).alias("share"),
        _share(pl.col("reached"), previous).alias("share_of_previous"),
        (pl.col("reached") - following).alias("lost"),
        "median_seconds",
        "median_total_seconds",
    )


def _step(journeys: pl.DataFrame, funnel: Funnel, k: int, by: tuple[str, ...]) -> pl.DataFrame:
    at = pl.col(f"step_{k}_at")
    since = [(at - pl.col(f"step_{max(k - 1, 1)}_at")), (at - pl.col("step_1_at"))]
    seconds = [(passed.dt.total_microseconds() / 1e6).median() if k > 1 else pl.lit(None) for passed in since]
    figures = [
        (pl.col("steps") >= k).sum().cast(pl.Int64).alias("reached"),
        seconds[0].cast(pl.Float64).alias("median_seconds"),
        seconds[1].cast(pl.Float64).alias("median_total_seconds"),
    ]
    counted = journeys.group_by(*by).agg(*figures) if by else journeys.select(*figures)
    told = [pl.lit(k, pl.Int64).alias("step"), pl.lit(funnel.steps[k - 1].label).alias("event")]
    return counted.with_columns(*told)


def widest_loss(steps: pl.DataFrame) -> int:
    """The step after which most went no further, of `conversion`; of several the first."""
    return int(steps.drop_nulls("lost").sort("lost", "step", descending=[True, False])["step"][0])


def lost_after(journeys: pl.DataFrame, step: int, *, most: int) -> pl.DataFrame:
    """Who reached this step and not the next: actor, reached_at, open; the latest first, at most so many."""
    left = journeys.filter(pl.col("steps") == step).rename({f"step_{step}_at": "reached_at"})
    return left.select("actor", "reached_at", "open").sort("reached_at", "actor", descending=[True, False]).head(most)


def _of_actors(events: pl.LazyFrame, funnel: Funnel) -> pl.LazyFrame:
    """The events that can matter, with `actor` and `at`; no sequence has an event before its first step."""
    known = events.with_columns(pl.col(ACTORS[funnel.counting]).alias("actor"), pl.col("occurred_at").alias("at"))
    known = known.filter(pl.col("actor").is_not_null())
    if funnel.since is not None:
        known = known.filter(pl.col("at") >= _midnight(funnel.since))
    if funnel.between == "anything":
        known = known.filter(pl.col("event_type").is_in(sorted({step.event_type for step in funnel.steps})))
    return known


def _within(funnel: Funnel) -> pl.Expr:
    if funnel.until is None:
        return pl.lit(True)
    return pl.col("at") < _midnight(funnel.until + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _every_week(counted: pl.DataFrame) -> pl.DataFrame:
    """The weeks from the first to the last, those without anybody, too."""
    if counted.is_empty():
        return counted
    every = counted.select(pl.date_range(pl.col("week").min(), pl.col("week").max(), "1w").alias("week"))
    return every.join(counted, on="week", how="left").fill_null(0).sort("week")
