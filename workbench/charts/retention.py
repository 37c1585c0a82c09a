"""The pictures of the retention page: what `workbench.analysis.retention` counted, as tiles, heat maps and lines."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from workbench.analysis.retention import Period, Retention
from workbench.charts import numbers
from workbench.charts.grids import heat_map
from workbench.charts.series import line
from workbench.charts.tables import Column, table
from workbench.charts.theme import COUNT, SHARE
from workbench.charts.tiles import Tile, tiles

COHORT: dict[Period, str] = {"day": "%-d %b %Y", "week": "%-d %b %Y", "month": "%b %Y"}
MARKS: dict[Period, Sequence[int]] = {"day": (1, 3, 7, 14), "week": (1, 2, 4, 12), "month": (1, 3, 6, 12)}
"""The periods that have a tile."""


def headline(members: int, average: pl.DataFrame, asked: Retention) -> str:
    """How many users there are, and how many of them were retained after some periods."""
    averages = {row["n"]: row for row in average.to_dicts()}
    shown = [Tile(label="Users", value=numbers.count(members), told="In the cohorts below")]
    for n in MARKS[asked.period]:
        label = f"{asked.period.capitalize()} {n}"
        if found := averages.get(n):
            of = f"Of {found['users']:,} {'user' if found['users'] == 1 else 'users'}, on average"
            shown.append(Tile(label=label, value=numbers.share(found["share"]), told=of))
        else:
            shown.append(Tile(label=label, value=numbers.NOTHING, told="No cohort is that old yet"))
    return tiles(shown)


def heat(cells: pl.DataFrame, asked: Retention, *, counts: bool) -> alt.LayerChart:
    """The cohorts, the earliest above, by the periods since."""
    name = pl.format("{}  ({})", pl.col("cohort").dt.to_string(COHORT[asked.period]), "users").alias("Cohort")
    during = pl.col("starts_on").dt.to_string(COHORT[asked.period]).alias("In")
    drawn = cells.with_columns(name, during).rename({"retained": "Came back", "users": "Of users"})
    return heat_map(
        drawn,
        x="n",
        y="Cohort",
        value="Came back" if counts else "share",
        title="Came back" if counts else "Retained",
        x_title=f"{asked.period.capitalize()}s since the first event",
        number=COUNT if counts else ".0%",
        most=None if counts else 1.0,
        unfinished="open",
        tooltip=("In", "Of users") if counts else ("In", "Came back", "Of users"),
    )


def curve(average: pl.DataFrame, order: Sequence[str] = ()) -> alt.LayerChart:
    """The averaged shares by the number of periods; a line for each segment, if there are any."""
    drawn = average.rename({"share": "Retained"})
    series = "segment" if "segment" in average.columns else None
    return line(drawn, x="n", y="Retained", series=series, number=SHARE, order=order, height=280)


def segments(average: pl.DataFrame, sizes: pl.DataFrame, asked: Retention) -> str:
    """The averaged shares of each segment after some periods, the largest first."""
    marks = [n for n in MARKS[asked.period] if n in average["n"]]
    wide = sizes.sort("users", "segment", descending=[True, False])
    for n in marks:
        wide = wide.join(average.filter(n=n).select("segment", pl.col("share").alias(str(n))), on="segment", how="left")
    columns = [Column("segment", "Segment"), Column("users", "Users", "count")]
    columns += [Column(str(n), f"{asked.period.capitalize()} {n}", "share") for n in marks]
    return table(wide, columns, told="Retention by segment")


def told(asked: Retention) -> str:
    """What is counted, in words."""
    event = f"the event {asked.return_type}" if asked.return_type else "an event"
    when = "in that period" if asked.kind == "classic" else "in that period or any later one so far"
    first = f"first {asked.first_type}" if asked.first_type else "first event"
    return (
        f"Users by the {asked.period} of their {first}, and how many of them had {event} {when}. "
        f"What is dashed is of a {asked.period} that is not over."
    )
