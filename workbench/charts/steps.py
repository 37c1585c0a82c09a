"""Ordered steps and how many get to each: a funnel."""

from __future__ import annotations

import altair as alt
import polars as pl

from workbench.charts.theme import ACCENT, COUNT, INK, SOFT, themed

ROW = 46
"""Height of a step, in CSS pixels."""
WRITTEN = 118
"""Width of a count and its share."""


def funnel(
    frame: pl.DataFrame,
    *,
    step: str,
    count: str,
    share: str | None = None,
    title: str = "",
    tooltip: tuple[str, ...] = (),
) -> alt.LayerChart:
    """A lying bar a step, in the order of the frame, with its count behind it.

    `share` names a column with each step's share of the first, from 0 to 1, which is then written, too.
    """
    written = pl.col(count).map_elements(lambda value: f"{value:,}", return_dtype=pl.String)
    if share:
        written = written + pl.format("  ·  {}%", (pl.col(share) * 100).round(1)).fill_null("")
    drawn = frame.with_columns(written.alias("_written"))
    most = float(drawn[count].max() or 1)  # type: ignore[arg-type]
    # Behind the longest bar there is room for what is written.
    scale = alt.Scale(domain=[0, most], range=[0, alt.ExprRef(f"max(40, width - {WRITTEN})")])
    places = {
        "y": alt.Y(
            step,
            type="nominal",
            sort=None,
            title=None,
            axis=alt.Axis(labelLimit=170, labelFontSize=12.5, labelColor=str(INK)),
        ),
        "x": alt.X(count, type="quantitative", title=title or None, axis=None, scale=scale),
    }
    tips = [alt.Tooltip(step), alt.Tooltip(count, type="quantitative", format=COUNT, title=title or count)]
    tips += [alt.Tooltip(share, type="quantitative", format=".1%", title="Of the first step")] if share else []
    tips += [
        alt.Tooltip(name, format=",") if frame.schema[name].is_numeric() else alt.Tooltip(name) for name in tooltip
    ]
    bar = alt.Chart(drawn).mark_bar(color=str(ACCENT), cornerRadiusEnd=3, height={"band": 0.62})
    text = alt.Chart(drawn).mark_text(align="left", dx=8, color=str(SOFT), fontSize=12)
    layers = [bar.encode(**places, tooltip=tips), text.encode(**places, text=alt.Text("_written", type="nominal"))]
    return themed(alt.LayerChart(layer=layers).properties(width="container", height=ROW * max(frame.height, 1)))
