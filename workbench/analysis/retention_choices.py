"""The choices of the notebook Retention, as people read them, and what to begin with."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from workbench.analysis.retention import Kind, Period

PERIODS: dict[str, Period] = {"Days": "day", "Weeks": "week", "Months": "month"}
KINDS: dict[str, Kind] = {"In that very period": "classic", "In that period or later": "unbounded"}
ANY_EVENT, NO_SEGMENT = "Any event", "None"
COHORTS: dict[str, int] = {"Latest 12": 12, "Latest 24": 24, "Latest 60": 60}
FURTHEST: dict[Period, int] = {"day": 14, "week": 12, "month": 12}
"""How many periods are followed."""
SHARES, COUNTS = "Shares", "Users"


def usual_period(bounds: tuple[datetime, datetime]) -> str:
    """The name of the period to begin with, by how long there have been events."""
    span = bounds[1] - bounds[0]
    if span <= timedelta(days=45):
        return "Days"
    return "Weeks" if span <= timedelta(days=270) else "Months"


def event_types(events: pl.LazyFrame) -> list[str]:
    """The event types of users, those of the most users first; ties by name."""
    named = events.filter(pl.col("user_id").is_not_null())
    reach = named.group_by("event_type").agg(pl.col("user_id").n_unique().alias("reach"))
    return reach.sort("reach", "event_type", descending=[True, False]).collect()["event_type"].to_list()


def latest(members: pl.DataFrame, cohorts: int) -> pl.DataFrame:
    """The members of the latest cohorts that have any."""
    kept = members["cohort"].unique().sort(descending=True).head(cohorts)
    return members.filter(pl.col("cohort").is_in(kept.implode()))
