"""Who took a feature up, how much they use it, and who stopped; a feature is an event type.

`activity` is fct_user_activity: it counts known users, day by day. Everything is as of the end of day `until`,
and what came later is left out. Definitions:

- an adopter has ever used the feature, from the day of first use on;
- uses per adopter are counted in the last `days` days, of those who used it in them;
- somebody stopped who used it before, but not in the last `days` days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

import msgspec
import polars as pl

Step = Literal["week", "month"]

STEPS: dict[Step, str] = {"week": "1w", "month": "1mo"}
DEPTHS = ("1", "2–3", "4–9", "10–29", "30 or more")
CUTS = (1, 3, 9, 29)
"""The upper ends of all depths but the last."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when known users were active, and the features they used, the most used first."""

    first_on: date
    last_at: datetime
    event_types: list[str]


def span(activity: pl.LazyFrame) -> Span | None:
    """What there is to choose from; None where no known user did anything."""
    used = (
        activity.group_by("event_type")
        .agg(pl.col("events").sum(), pl.col("active_on").min(), pl.col("last_at").max())
        .sort("events", "event_type", descending=[True, False])
        .collect()
    )
    if used.is_empty():
        return None
    first_on, last_at = used.select(pl.col("active_on").min(), pl.col("last_at").max()).row(0)
    return Span(first_on=first_on, last_at=last_at, event_types=used["event_type"].to_list())


def ranking(activity: pl.LazyFrame, *, until: date, days: int) -> pl.DataFrame:
    """A row for each feature, the one with most adopters first.

    event_type, adopters, rate, users, uses, depth, median_depth, stopped, stop_rate, last_used_on.
    `rate` is of all users seen until then; `users`, `uses` and the depths are of the last `days` days, the depths
    null where nobody used it; `stop_rate` is of the adopters.
    """
    known = _until(activity, until)
    everybody = known.select(pl.col("user_id").n_unique()).collect().item()
    by_user = known.group_by("event_type", "user_id").agg(
        pl.col("active_on").max().alias("last_used_on"),
        pl.col("events").filter(pl.col("active_on") > until - timedelta(days=days)).sum().alias("uses"),
    )
    is_active = pl.col("uses") > 0
    counted = by_user.group_by("event_type").agg(
        pl.len().cast(pl.Int64).alias("adopters"),
        (pl.len() / everybody).alias("rate"),
        is_active.sum().cast(pl.Int64).alias("users"),
        pl.col("uses").sum(),
        pl.col("uses").filter(is_active).mean().alias("depth"),
        pl.col("uses").filter(is_active).median().alias("median_depth"),
        (~is_active).sum().cast(pl.Int64).alias("stopped"),
        (~is_active).mean().alias("stop_rate"),
        pl.col("last_used_on").max(),
    )
    return counted.sort("adopters", "uses", "event_type", descending=[True, True, False]).collect()


def of_feature(ranked: pl.DataFrame, feature: str) -> dict[str, Any]:
    """The feature's row of a `ranking`; zeros and nulls where nobody had used it yet."""
    found = ranked.filter(pl.col("event_type") == feature)
    if found.is_empty():
        nothing: dict[str, Any] = dict.fromkeys(ranked.columns)
        return nothing | {"event_type": feature, "adopters": 0, "users": 0, "uses": 0, "stopped": 0}
    return found.row(0, named=True)


def adoption(activity: pl.LazyFrame, feature: str, *, until: date, step: Step) -> pl.DataFrame:
    """A row for each week or month since the first use.

    starts_on, new_adopters, adopters, users, active, rate, unfinished.
    `adopters` adds up, `users` used the feature in the step, of `active` users of the product in it; `rate` is
    their share, null where nobody was active.
    """
    known = _until(activity, until).with_columns(pl.col("active_on").dt.truncate(STEPS[step]).alias("starts_on"))
    uses = known.filter(pl.col("event_type") == feature)
    first = uses.group_by("user_id").agg(pl.col("starts_on").min())
    counts = (
        first.group_by("starts_on").agg(pl.len().alias("new_adopters")),
        uses.group_by("starts_on").agg(pl.col("user_id").n_unique().alias("users")),
        known.group_by("starts_on").agg(pl.col("user_id").n_unique().alias("active")),
    )
    began = first.select(pl.col("starts_on").min()).collect().item()
    starts: Sequence[date] | pl.Series = [] if began is None else pl.date_range(began, until, STEPS[step], eager=True)
    steps = pl.LazyFrame({"starts_on": starts}, schema={"starts_on": pl.Date})
    for count in counts:
        steps = steps.join(count, on="starts_on", how="left", maintain_order="left")
    numbers = pl.col("new_adopters", "users", "active").fill_null(0).cast(pl.Int64)
    return (
        steps.with_columns(numbers)
        .select(
            "starts_on",
            "new_adopters",
            pl.col("new_adopters").cum_sum().alias("adopters"),
            "users",
            "active",
            pl.when(pl.col("active") > 0).then(pl.col("users") / pl.col("active")).alias("rate"),
            (pl.col("starts_on").dt.offset_by(STEPS[step]) > until + timedelta(days=1)).alias("unfinished"),
        )
        .collect()
    )


def depths(activity: pl.LazyFrame, feature: str, *, until: date, days: int) -> pl.DataFrame:
    """depth, users, share: how many of those who used the feature in the last `days` days did so how often."""
    recent = _until(activity, until).filter(
        (pl.col("event_type") == feature) & (pl.col("active_on") > until - timedelta(days=days))
    )
    by_user = recent.group_by("user_id").agg(pl.col("events").sum())
    depth = pl.lit(DEPTHS[-1])
    for most, label in reversed([*zip(CUTS, DEPTHS, strict=False)]):
        depth = pl.when(pl.col("events") <= most).then(pl.lit(label)).otherwise(depth)
    counted = by_user.group_by(depth.alias("depth")).agg(pl.len().cast(pl.Int64).alias("users")).collect()
    every = pl.DataFrame({"depth": DEPTHS}).join(counted, on="depth", how="left", maintain_order="left")
    users = pl.col("users").fill_null(0)
    return every.with_columns(users, pl.when(users.sum() > 0).then(users / users.sum()).alias("share"))


def stopped(activity: pl.LazyFrame, feature: str, *, until: date, days: int) -> pl.DataFrame:
    """A row for each user who stopped, the latest first.

    user_id, first_used_on, last_used_on, days_since, uses, active_days, last_seen_on, still_here.
    `last_seen_on` is of any feature; `still_here` tells whether it lies in the last `days` days: the user left
    the feature, not the product.
    """
    known = _until(activity, until)
    since = until - timedelta(days=days)
    seen = known.group_by("user_id").agg(pl.col("active_on").max().alias("last_seen_on"))
    used = (
        known.filter(pl.col("event_type") == feature)
        .group_by("user_id")
        .agg(
            pl.col("active_on").min().alias("first_used_on"),
            pl.col("active_on").max().alias("last_used_on"),
            pl.col("events").sum().alias("uses"),
            pl.col("active_on").n_unique().cast(pl.Int64).alias("active_days"),
        )
    )
    return (
        used.filter(pl.col("last_used_on") <= since)
        .join(seen, on="user_id", how="left")
        .sort("last_used_on", "uses", "user_id", descending=[True, True, False])
        .select(
            "user_id",
            "first_used_on",
            "last_used_on",
            (pl.lit(until) - pl.col("last_used_on")).dt.total_days().alias("days_since"),
            "uses",
            "active_days",
            "last_seen_on",
            (pl.col("last_seen_on") > since).alias("still_here"),
        )
        .collect()
    )


def _until(activity: pl.LazyFrame, until: date) -> pl.LazyFrame:
    return activity.filter(pl.col("active_on") <= until)
