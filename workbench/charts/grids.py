"""Two dimensions and a value: a heat map."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from workbench.charts.theme import ACCENT, COUNT, SHARE, Colour, themed

CELL = 26
"""Height of a row, in CSS pixels."""
ROOM = 34
"""Width of a cell on which a figure can be written."""
OPEN = "_open"
FAINTEST = 0.05
COLOUR = Colour("#0a5fa5", "#1f69aa")
ON_PALE, ON_DARK = Colour("#000000", "#e7ecf1"), Colour("#ffffff", "#e7ecf1")
"""What is written on a cell, up to a share of the largest value, and from there on."""
DARK = 0.82


def heat_map(
    frame: pl.DataFrame,
    *,
    x: str,
    y: str,
    value: str,
    title: str = "",
    x_title: str = "",
    y_title: str = "",
    number: str = SHARE,
    most: float | None = None,
    written: bool = True,
    unfinished: str | None = None,
    tooltip: tuple[str, ...] = (),
) -> alt.LayerChart:
    """Cells in the order of the frame, the darker the larger from 0 to `most` (the largest, if None).

    Cells whose value is null stay empty. `written` puts the values on the cells where there is room. The Boolean
    column `unfinished` tells the cells of a time that is not over, which are outlined and set in italics.
    `tooltip` names further columns to tell at the pointer.
    """
    over = pl.lit(False) if unfinished is None else pl.col(unfinished).fill_null(False)
    cells = frame.filter(pl.col(value).is_not_null()).with_columns(over.alias(OPEN))
    largest = (most if most is not None else float(cells[value].max() or 0)) or 1.0  # type: ignore[arg-type]
    gap = alt.Scale(paddingInner=0.06)
    across = alt.Axis(orient="top", labelAngle=0)
    names = alt.Axis(labelLimit=200, grid=False)
    places: dict[str, Any] = {
        "x": alt.X(x, type="ordinal", sort=None, title=x_title or None, scale=gap, axis=across),
        "y": alt.Y(y, type="ordinal", sort=None, title=y_title or None, scale=gap, axis=names),
    }
    shade = alt.Scale(domain=[0, largest], range=[FAINTEST, 1], clamp=True)
    dark = alt.FillOpacity(value, type="quantitative", scale=shade, legend=None)
    tips = [alt.Tooltip(y, title=y_title or y), alt.Tooltip(x, title=x_title or x)]
    tips += [alt.Tooltip(value, type="quantitative", format=number, title=title or value)]
    tips += [
        alt.Tooltip(name, format=COUNT) if frame.schema[name].is_numeric() else alt.Tooltip(name) for name in tooltip
    ]
    rest = cells.filter(pl.col(OPEN))
    layers = [_cells(cells.filter(~pl.col(OPEN))).encode(**places, fillOpacity=dark, tooltip=tips)]
    if rest.height:
        marked = alt.Tooltip(OPEN, title="Not over yet")
        told = rest.with_columns(pl.lit("so far").alias(OPEN))
        outlined = _cells(told, stroke=str(ACCENT), strokeDash=[3, 2], strokeWidth=1, strokeOpacity=0.7)
        layers.append(outlined.encode(**places, fillOpacity=dark, tooltip=[*tips, marked]))
    if written:
        room = alt.expr(f"width < {ROOM * max(frame[x].n_unique(), 1)} ? 0 : 1")
        ink = alt.condition(alt.datum[value] > DARK * largest, alt.value(str(ON_DARK)), alt.value(str(ON_PALE)))
        figure = alt.Text(value, type="quantitative", format=number)
        for part, style in ((cells.filter(~pl.col(OPEN)), "normal"), (rest, "italic")):
            text = alt.Chart(part).mark_text(fontSize=11, fontStyle=style, opacity=room, tooltip=False)
            layers.append(text.encode(**places, text=figure, color=ink))
    height = CELL * max(frame[y].n_unique(), 1)
    return themed(alt.LayerChart(layer=layers).properties(width="container", height=height))


def _cells(cells: pl.DataFrame, **outline: Any) -> alt.Chart:
    drawn: alt.Chart = alt.Chart(cells).mark_rect(color=str(COLOUR), cornerRadius=3, **outline)
    return drawn
