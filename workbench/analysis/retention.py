"""Retention: of the users who came first in a period, how many come again in the periods after it.

A user's cohort is the period (day, week from Monday, month; UTC) of the first event of the tenant's whole history,
of any type or of a chosen one. A returning event, of any type or of a chosen one, is an event at or after that
first one; the first event itself is one if its type fits. Events without a user count nowhere; events later than
`as_of` have not happened yet, whatever the sender's clock says.

- classic: a user is retained in period N who has a returning event in the N-th period after the cohort's.
- unbounded: a user is retained in period N who has one in that period or any later one.

A period is over when its end is not after `as_of`. A cell of a period that is not over is told, marked as open,
and left out of averages; a period that has not begun has no cell. Unbounded cells may still grow when their
period is over, since a user may come back at any time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from workbench.analysis.fields import Field

Period = Literal["day", "week", "month"]
Kind = Literal["classic", "unbounded"]
EVERY: dict[Period, str] = {"day": "1d", "week": "1w", "month": "1mo"}


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted."""

    period: Period
    kind: Kind = "classic"
    first_type: str | None = None
    """The type of the event that makes a user a member of a cohort; None: any."""
    return_type: str | None = None
    """The type of the event that counts as coming back; None: any."""
    segment: Field | None = None
    """What the first event tells that users are parted by."""
    most_periods: int = 12
    """The last N that is told."""


def members(events: pl.LazyFrame, asked: Retention, as_of: datetime) -> pl.DataFrame:
    """One row per user who ever had a first event: user_id, first_at, cohort (first day of its period).

    With a segment also `segment`: what the first event says, null if nothing; of several first events at the
    same microsecond the smallest value counts.
    """
    firsts = _happened(events, asked.first_type, as_of)
    first = firsts.group_by("user_id").agg(pl.col("occurred_at").min().alias("first_at"))
    found = first.with_columns(pl.col("first_at").dt.truncate(EVERY[asked.period]).dt.date().alias("cohort")).collect()
    if asked.segment is None:
        return found
    here = [found["user_id"], found["first_at"].alias("occurred_at")]
    said = firsts.join(pl.LazyFrame(here), on=["user_id", "occurred_at"], how="semi")
    said = said.select("user_id", asked.segment.text().alias("segment")).drop_nulls()
    smallest = said.group_by("user_id").agg(pl.col("segment").min()).collect()
    return found.join(smallest, on="user_id", how="left")


def cells(events: pl.LazyFrame, of: pl.DataFrame, asked: Retention, as_of: datetime) -> pl.DataFrame:
    """One row per cohort and N of 0 … most_periods whose period has begun, sorted; cohorts as in `of`, members.

    (segment if `of` has it,) cohort, users, n, starts_on (first day of its period), retained, share, open.
    """
    by = ["segment", "cohort"] if "segment" in of.columns else ["cohort"]
    returned = _returns(events, of, asked, as_of)
    counted = returned.group_by(*by, "n").agg(pl.len().cast(pl.Int64).alias("retained"))
    sizes = of.group_by(by).agg(pl.len().cast(pl.Int64).alias("users"))
    every = sizes.join(pl.DataFrame({"n": range(asked.most_periods + 1)}, schema={"n": pl.Int64}), how="cross")
    table = every.join(counted, on=[*by, "n"], how="left", nulls_equal=True).with_columns(
        pl.col("retained").fill_null(0)
    )
    begins = pl.col("cohort").dt.offset_by(pl.format(f"{{}}{EVERY[asked.period][1:]}", "n"))
    ends = begins.dt.offset_by(EVERY[asked.period]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    told = table.with_columns(
        begins.alias("starts_on"),
        (pl.col("retained") / pl.col("users")).alias("share"),
        (ends > as_of).alias("open"),
    )
    begun = told.filter(pl.col("starts_on").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") <= as_of)
    return begun.select(*by, "users", "n", "starts_on", "retained", "share", "open").sort(*by, "n")


def curve(table: pl.DataFrame) -> pl.DataFrame:
    """The cells averaged over the cohorts, each user with the same weight, from periods that are over.

    (segment,) n, cohorts, users (who can have been retained), retained, share; no row for an N without any.
    """
    by = ["segment", "n"] if "segment" in table.columns else ["n"]
    whole = (
        table.filter(~pl.col("open"))
        .group_by(by)
        .agg(pl.len().cast(pl.Int64).alias("cohorts"), pl.col("users").sum(), pl.col("retained").sum())
    )
    return whole.with_columns((pl.col("retained") / pl.col("users")).alias("share")).sort(by)


def _happened(events: pl.LazyFrame, event_type: str | None, as_of: datetime) -> pl.LazyFrame:
    known = events.filter(pl.col("user_id").is_not_null(), pl.col("occurred_at") <= as_of)
    return known if event_type is None else known.filter(pl.col("event_type") == event_type)


def _returns(events: pl.LazyFrame, of: pl.DataFrame, asked: Retention, as_of: datetime) -> pl.DataFrame:
    """One row per member and N in which the member is retained: what `of` has, and n."""
    every = EVERY[asked.period]
    here = pl.col("occurred_at").dt.truncate(every).dt.date().alias("here")
    active = _happened(events, asked.return_type, as_of).group_by("user_id", here).agg(pl.col("occurred_at").max())
    came = active.join(of.lazy(), on="user_id").filter(pl.col("occurred_at") >= pl.col("first_at"))
    numbered = came.select(*of.columns, _between("cohort", "here", asked.period).alias("n")).collect()
    if asked.kind == "classic":
        return numbered.filter(pl.col("n") <= asked.most_periods)
    last = numbered.group_by(of.columns).agg(pl.col("n").max())
    upto = pl.int_ranges(0, pl.min_horizontal(pl.col("n"), asked.most_periods) + 1)
    return last.with_columns(upto.alias("n")).explode("n", empty_as_null=False)


def _between(first: str, second: str, period: Period) -> pl.Expr:
    """How many periods the second day's lies after the first day's; both are first days of periods."""
    if period == "month":
        months = [pl.col(name).dt.year().cast(pl.Int64) * 12 + pl.col(name).dt.month() for name in (second, first)]
        return months[0] - months[1]
    days = (pl.col(second) - pl.col(first)).dt.total_days()
    return days if period == "day" else days // 7
