"""The pictures of the funnels page: what `workbench.analysis.funnels` counted, as tiles, bars, lines and tables."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from workbench.analysis.funnels import Funnel
from workbench.charts import numbers
from workbench.charts.durations import duration
from workbench.charts.grids import heat_map
from workbench.charts.series import line
from workbench.charts.steps import funnel as funnel_bars
from workbench.charts.tables import Column, table
from workbench.charts.theme import SHARE
from workbench.charts.tiles import Tile, tiles

MOMENT = "%-d %b %Y, %H:%M"
ONE = {"users": "user", "sessions": "session"}


def headline(steps: pl.DataFrame, journeys: pl.DataFrame, funnel: Funnel) -> str:
    """The whole funnel in a row of tiles."""
    who, last, order = funnel.counting, steps.row(-1, named=True), len(funnel.steps)
    begun, still = steps["reached"][0], int(journeys["open"].sum())
    worst = steps.filter(pl.col("step") > 1).sort("share_of_previous", "step", nulls_last=True).row(0, named=True)
    passing = f"From step {worst['step'] - 1} to step {worst['step']}"
    return tiles(
        [
            Tile(
                label="Conversion", value=numbers.share(last["share"]), told=f"Of {who} with step 1, all {order} steps"
            ),
            Tile(label=f"{who.capitalize()} with step 1", value=numbers.count(begun), told=f"Still in time: {still:,}"),
            Tile(label="Completed", value=numbers.count(last["reached"]), told="In time, in this order"),
            Tile(
                label="Time to complete",
                value=duration(last["median_total_seconds"]),
                told="Median, from step 1 to the last",
            ),
            Tile(label="Narrowest passage", value=numbers.share(worst["share_of_previous"]), told=passing),
        ]
    )


def bars(steps: pl.DataFrame) -> alt.LayerChart:
    """The steps, one below the other."""
    drawn = _numbered(steps).rename({"share_of_previous": "Of the step before"})
    return funnel_bars(drawn, step="Step", count="reached", share="share", title="Reached")


def steps_table(steps: pl.DataFrame, funnel: Funnel) -> str:
    """The steps' figures."""
    columns = [
        Column("Step", "Step"),
        Column("reached", funnel.counting.capitalize(), "count"),
        Column("share", "Of step 1", "share"),
        Column("share_of_previous", "Of the step before", "share", minor=True),
        Column("lost", "Went no further", "count", minor=True),
        Column("median_seconds", "Median time", "duration"),
        Column("median_total_seconds", "From step 1", "duration", minor=True),
    ]
    return table(_numbered(steps), columns, told="The steps of the funnel")


def weeks(counted: pl.DataFrame) -> alt.LayerChart:
    """The share of each week's starters who completed."""
    drawn = counted.rename({"share": "Conversion"})
    return line(drawn, x="week", y="Conversion", number=SHARE, grain="week", unfinished="open", height=220)


def segments(by: pl.DataFrame, funnel: Funnel) -> alt.LayerChart:
    """The share of each segment that reached each step; the largest segment comes first."""
    sizes = by.filter(step=1).select("segment", pl.col("reached").alias("begun"))
    drawn = by.join(sizes, on="segment", nulls_equal=True).sort(
        "begun", "segment", "step", descending=[True, False, False]
    )
    name = pl.format("{}  ({})", "segment", pl.col("begun").map_elements(numbers.count, pl.String)).alias("Segment")
    shown = drawn.with_columns(name).rename({"reached": funnel.counting.capitalize()})
    return heat_map(
        shown,
        x="step",
        y="Segment",
        value="share",
        title="Of step 1",
        x_title="Step",
        most=1.0,
        number=".0%",
        tooltip=("event", funnel.counting.capitalize()),
    )


def segments_table(by: pl.DataFrame, funnel: Funnel) -> str:
    """The whole funnel of each segment in a line."""
    first, last = by.filter(step=1), by.filter(step=len(funnel.steps))
    begun = first.select("segment", pl.col("reached").alias("begun"))
    told = last.join(begun, on="segment").sort("begun", "segment", descending=[True, False])
    columns = [
        Column("segment", "Segment"),
        Column("begun", "Step 1", "count"),
        Column("reached", "Completed", "count", minor=True),
        Column("share", "Conversion", "bar"),
        Column("median_total_seconds", "Median time", "duration", minor=True),
    ]
    return table(told, columns, told="Conversion by segment")


def lost(users: pl.DataFrame, funnel: Funnel) -> pl.DataFrame:
    """The frame of who went no further, with its columns as people read them."""
    return users.select(
        pl.col("actor").alias(ONE[funnel.counting].capitalize()),
        pl.col("reached_at").dt.to_string(MOMENT).alias("Got here (UTC)"),
        pl.when("open").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("Still in time"),
    )


def step_inputs(number: int, inputs: Sequence[str]) -> str:
    """The inputs of a step, HTML each, in a row after its number."""
    return f'<div class="wb-step" role="group" aria-label="Step {number}"><b>{number}</b>{"".join(inputs)}</div>'


def told(funnel: Funnel) -> str:
    """What is counted, in words."""
    one, other = ONE[funnel.counting], " with nothing else in between" if funnel.between == "nothing" else ""
    return f"Each {one} counts once; any of its first steps may lead through the others in time{other}."


def listed(shown: int, lost: int | None) -> str:
    """Of how many the list shows how many, in words."""
    if lost is None or shown == lost:
        return "All of them, the latest first."
    return f"The latest {shown:,} of {lost:,}."


def step_names(funnel: Funnel) -> list[str]:
    """The steps for people, numbered, so that no two are alike."""
    return [f"{place}  {step.label}" for place, step in enumerate(funnel.steps, 1)]


def _numbered(steps: pl.DataFrame) -> pl.DataFrame:
    return steps.with_columns(pl.format("{}  {}", "step", "event").alias("Step"))
