"""The pictures of the overview: what `workbench.analysis.overview` counted, as tiles, lines and tables."""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt
import polars as pl

from workbench.analysis.overview import NOW, Measure, Segment
from workbench.analysis.periods import Kind, Window, last_day_of
from workbench.charts import numbers
from workbench.charts.series import Grain, line
from workbench.charts.tables import Column, table
from workbench.charts.tiles import Tile, tiles

KINDS: dict[str, Kind] = {
    "Last 7 days": "7 days",
    "Last 28 days": "28 days",
    "Last 90 days": "90 days",
    "Day": "day",
    "Week": "week",
    "Month": "month",
    "Quarter": "quarter",
    "Year": "year",
}
SEGMENTS: dict[str, Segment] = {"Everybody": "everybody", "New in the period": "new", "Returning": "returning"}
MEASURES: dict[str, Measure] = {"Active users": "active_users", "Events": "events", "Sessions": "sessions"}

LABELS = {"events": "Events", "sessions": "Sessions", "stickiness": "Stickiness"}
ACTIVE = {"day": "Daily users", "week": "Weekly users", "month": "Monthly users"}
WHAT = {"event_type": "Event type", "user_id": "User"}
GRAINS: dict[str, Grain] = {"hour": "hour", "day": "day", "month": "month"}


def headline(figures: pl.DataFrame) -> str:
    """The six figures of `analysis.overview.headline` as tiles."""
    return tiles([_tile(row) for row in figures.iter_rows(named=True)])


def over_time(steps: pl.DataFrame, period: Window, measure: Measure) -> alt.LayerChart:
    """The period, and the one before laid under it step by step."""
    places = steps.filter(pl.col("part") == NOW).select("place", pl.col("starts_at").alias("at"))
    names = {NOW: days(period.start.date(), period.last_day)}
    names["before"] = days(period.before_start.date(), last_day_of(period.before_end))
    drawn = steps.join(places, on="place", how="inner").with_columns(pl.col("part").replace(names).alias("period"))
    title = next(title for title, name in MEASURES.items() if name == measure)
    drawn = drawn.rename({"value": title})
    return line(
        drawn,
        x="at",
        y=title,
        series="period",
        grain=GRAINS[period.grain],
        unfinished="unfinished",
        order=list(names.values()),
        faint=names["before"],
        told="starts_at",
    )


def types(counted: pl.DataFrame) -> str:
    """The table of `analysis.overview.by_type`."""
    columns = [
        Column("event_type", "Event type"),
        Column("trend", "Trend", "trend"),
        Column("events", "Events", "count"),
        Column("events_before", "Before", "count", minor=True),
        Column("change", "Change", "change"),
        Column("active_users", "Users", "count", minor=True),
        Column("share", "Share", "bar", minor=True),
    ]
    return table(counted, columns, told="Events by type")


def movers(changed: pl.DataFrame) -> str:
    """The table of `analysis.overview.movers`."""
    columns = [
        Column("name", "Who or what"),
        Column("what", "", minor=True),
        Column("events_before", "Before", "count"),
        Column("events", "Now", "count"),
        Column("difference", "Difference", "moved"),
    ]
    if changed.is_empty():
        return '<p class="wb-none">Nothing changed: there are as many events of each kind, by each user, as before.</p>'
    return table(changed.with_columns(pl.col("what").replace(WHAT)), columns, told="What changed most")


def compared(period: Window) -> str:
    """With what the period is compared, in words."""
    before = days(period.before_start.date(), last_day_of(period.before_end))
    so_far = "" if period.over else "the same part of "
    return f"compared with {so_far}{before}"


def days(first: date, last: date) -> str:
    """14 Jul 2026; 1–14 Jul 2026; 20 Jun – 14 Jul 2026; 20 Dec 2025 – 14 Jan 2026."""
    end = last.strftime("%-d %b %Y")
    if first == last:
        return end
    if first.year != last.year:
        return f"{first.strftime('%-d %b %Y')} – {end}"
    return f"{first.day}–{end}" if first.month == last.month else f"{first.strftime('%-d %b')} – {end}"


def _tile(row: dict[str, Any]) -> Tile:
    is_share = row["measure"] == "stickiness"
    read = numbers.share if is_share else numbers.count
    told = days(row["start"], row["last_day"])
    if is_share:
        told = "28-day users on an average day"
    return Tile(
        label=LABELS.get(row["measure"]) or ACTIVE[row["kind"]],
        value=read(row["now"]),
        change=row["change"],
        before=None if row["before"] is None else read(row["before"]),
        told=told if row["over"] or is_share else f"{told}, so far",
    )
