"""The pictures of the features page: what `workbench.analysis.features` counted, as tiles, lines, bars and tables."""

from __future__ import annotations

from html import escape
from typing import Any

import altair as alt
import marimo as mo
import polars as pl

from workbench.analysis.features import Step
from workbench.charts import numbers
from workbench.charts.series import bars, line
from workbench.charts.tables import Column, table
from workbench.charts.theme import SHARE
from workbench.charts.tiles import Tile, tiles

STEPS: dict[str, Step] = {"Weeks": "week", "Months": "month"}
WINDOWS = {"7 days": 7, "14 days": 14, "28 days": 28, "90 days": 90, "180 days": 180, "365 days": 365}

TITLES = {
    "user_id": "User",
    "last_used_on": "Last used",
    "days_since": "Days since",
    "uses": "Uses",
    "active_days": "Days of use",
    "first_used_on": "First used",
    "still_here": "Still active",
}
"""Of the table of users who stopped, whose columns are in this order."""
NUMBERS = ("Days since", "Uses", "Days of use")
PAGE = 8


def ranking(counted: pl.DataFrame, days: int) -> str:
    """The table of `analysis.features.ranking`."""
    columns = [
        Column("event_type", "Feature"),
        Column("adopters", "Adopters", "count"),
        Column("rate", "Of all users", "bar", minor=True),
        Column("users", f"Users in {days} days", "count", minor=True),
        Column("depth", "Uses per user", "ratio", minor=True),
        Column("stopped", "Stopped", "count"),
        Column("stop_rate", "Stopped of adopters", "share", minor=True),
        Column("last_used_on", "Last used", "day"),
    ]
    return table(counted, columns, told="All features, by adopters")


def headline(feature: dict[str, Any], days: int) -> str:
    """One row of `analysis.features.ranking` as tiles."""
    within = f"In the last {days} days"
    shown = tiles(
        [
            Tile(
                label="Adopters",
                value=numbers.count(feature["adopters"]),
                told=f"Ever used it: {numbers.share(feature['rate'])} of all users",
            ),
            Tile(label="Users", value=numbers.count(feature["users"]), told=within),
            Tile(label="Uses", value=numbers.count(feature["uses"]), told=within),
            Tile(
                label="Depth",
                value=numbers.ratio(feature["depth"]),
                told=f"Uses per user; the median is {numbers.ratio(feature['median_depth'])}",
            ),
            Tile(
                label="Stopped",
                value=numbers.count(feature["stopped"]),
                told=f"{numbers.share(feature['stop_rate'])} of adopters, not in the last {days} days",
            ),
        ]
    )
    return f'<h2 class="wb-sub">{escape(feature["event_type"])}</h2>{shown}'


def adopters(steps: pl.DataFrame, step: Step) -> alt.LayerChart:
    """Adopters so far, at the end of each step."""
    drawn = steps.rename({"adopters": "Adopters"})
    return line(drawn, x="starts_on", y="Adopters", grain=step, unfinished="unfinished", height=220)


def reach(steps: pl.DataFrame, step: Step) -> alt.LayerChart:
    """The share of each step's active users who used the feature."""
    drawn = steps.rename({"rate": "Of active users"})
    return line(
        drawn, x="starts_on", y="Of active users", grain=step, unfinished="unfinished", number=SHARE, height=220
    )


def depths(counted: pl.DataFrame) -> alt.Chart:
    """How many users used it how often."""
    drawn = counted.rename({"users": "Users"})
    return bars(drawn, x="depth", y="Users", height=220)


def stopped(users: pl.DataFrame) -> mo.Html:
    """Who stopped, as a table to search, sort and export; a sentence where there is nobody."""
    if users.is_empty():
        return mo.Html('<p class="wb-none">Nobody: everyone who ever used it did so in the window.</p>')
    here = pl.when(pl.col("still_here")).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("still_here")
    shown = users.with_columns(here).select(*TITLES).rename(TITLES)
    return mo.ui.table(
        shown,
        selection=None,
        page_size=PAGE,
        show_column_summaries=False,
        show_data_types=False,
        text_justify_columns=dict.fromkeys(NUMBERS, "right"),
    )
