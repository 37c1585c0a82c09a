"""Values over time, or over names: lines and bars.

A column of dates, or of moments in UTC, is drawn on an axis in UTC; any other `x` is a row of names in the
order of the frame. Where `series` names a column, each of its values is a line, or a part of each bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import polars as pl
import polars.selectors as cs

from workbench.charts.theme import COUNT, OTHERS, SERIES, SOFT, TICKS, number_axis, themed

Grain = Literal["hour", "day", "week", "month"]

TOLD: dict[Grain, str] = {
    "hour": "%-d %b %Y, %H:%M",
    "day": "%a %-d %b %Y",
    "week": "Week of %-d %b %Y",
    "month": "%B %Y",
}
AXIS: dict[Grain, str] = {"hour": "%H:%M", "day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}
LENGTHS: dict[Grain, str] = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}
WHEN, OPEN, UNTIL = "_when", "_open", "_until"
FEW = 45
"""Up to so many points, each is marked."""
HEIGHT, ROW = 260, 26
"""Of a chart, and of each lying bar, in CSS pixels."""


def line(
    frame: pl.DataFrame,
    *,
    x: str,
    y: str,
    series: str | None = None,
    title: str = "",
    number: str = COUNT,
    grain: Grain = "day",
    unfinished: str | None = None,
    height: int = HEIGHT,
    order: Sequence[str] = (),
    faint: str | None = None,
    told: str | None = None,
) -> alt.LayerChart:
    """Lines from zero, with the values at the pointer.

    `title` says what `y` is. The Boolean column `unfinished` tells rows of a period that is not over: the way
    to them is dashed. `order` fixes which series gets which colour, and `faint` names one for the background.
    `told` is the column of dates that is told at the pointer, if it is not `x`.
    """
    drawn = _told(frame, x, grain, told)
    over = pl.lit(False) if unfinished is None else pl.col(unfinished)
    drawn = drawn.with_columns(over.fill_null(False).alias(OPEN)).sort(x)
    if series and faint:
        # What is drawn first lies below.
        drawn = drawn.sort(pl.col(series) != faint, maintain_order=True)
    grouped = [series] if series else []
    leads = pl.col(OPEN).shift(-1).over(grouped) if grouped else pl.col(OPEN).shift(-1)
    base: dict[str, Any] = {
        "x": _x(drawn, x, grain),
        "y": alt.Y(y, **_amount(drawn, y, number, title)),
    }
    base |= _colour(drawn, series, order, faint)
    layers = [alt.Chart(drawn.filter(~pl.col(OPEN))).mark_line().encode(**base)]
    rest = drawn.filter(pl.col(OPEN) | leads.fill_null(False))
    if rest[OPEN].any():
        layers.append(alt.Chart(rest).mark_line(strokeDash=[3, 4]).encode(**base))
    layers += _pointed(drawn, base, x, y, series, number=number, title=title)
    return themed(alt.LayerChart(layer=layers).properties(width="container", height=height))


def bars(
    frame: pl.DataFrame,
    *,
    x: str,
    y: str,
    series: str | None = None,
    title: str = "",
    number: str = COUNT,
    grain: Grain = "day",
    across: bool = False,
    height: int = HEIGHT,
    order: Sequence[str] = (),
) -> alt.Chart:
    """Bars from zero, standing; lying, with the names at their left, if `across`. Several series are stacked."""
    drawn = _told(frame, x, grain)
    amount = _amount(drawn, y, number, title)
    places: dict[str, Any]
    if across:
        name = alt.Y(x, type="nominal", sort=None, title=None, axis=alt.Axis(labelLimit=220, domain=False))
        places, height = {"y": name, "x": alt.X(y, **amount)}, ROW * max(drawn[x].n_unique(), 1)
    else:
        # Rounded bars of a stack lose their width where they lie between two moments.
        places = {"x": _x(drawn, x, grain), "y": alt.Y(y, **amount, stack="zero" if series else None)}
    if drawn.schema[x].is_temporal():
        drawn = drawn.with_columns(pl.col(x).dt.offset_by(LENGTHS[grain]).alias(UNTIL))
        places["x2"] = alt.X2(UNTIL)
    # Between two moments a bar would be taken for a lying one.
    orient: Literal["horizontal", "vertical"] = "horizontal" if across else "vertical"
    mark = alt.Chart(drawn).mark_bar(orient=orient, cornerRadiusEnd=0 if series else 2, xOffset=0.5, x2Offset=-0.5)
    shown: alt.Chart = mark.encode(**places, **_colour(drawn, series, order), tooltip=_tips(y, series, number, title))
    return themed(shown.properties(width="container", height=height))


def _told(frame: pl.DataFrame, x: str, grain: Grain, told: str | None = None) -> pl.DataFrame:
    """The frame with its dates as moments in UTC, and in words for people in a column of their own.

    Integers become floats: those of 64 bits reach some pages as a type that is not drawn.
    """
    frame = frame.with_columns(cs.integer().cast(pl.Float64))
    if frame.schema[x] == pl.Date:
        frame = frame.with_columns(pl.col(x).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    when = told or x
    if not frame.schema[when].is_temporal():
        return frame.with_columns(pl.col(when).cast(pl.String).alias(WHEN))
    return frame.with_columns(pl.col(when).dt.to_string(TOLD[grain]).alias(WHEN))


def _amount(frame: pl.DataFrame, y: str, number: str, title: str) -> dict[str, Any]:
    """A value's axis from zero; up to one where there is nothing but zeros."""
    most = frame[y].max()
    scale = alt.Scale(nice=TICKS) if most else alt.Scale(domain=[0, 1])
    return {"type": "quantitative", "title": title or None, "axis": number_axis(number), "scale": scale}


def _x(frame: pl.DataFrame, x: str, grain: Grain) -> alt.X:
    if not frame.schema[x].is_temporal():
        return alt.X(x, type="nominal", sort=None, title=None, axis=alt.Axis(labelAngle=0))
    axis = alt.Axis(
        format=AXIS[grain],
        tickCount={"expr": "max(2, min(10, floor(width / 90)))"},
        labelSeparation=12,
    )
    return alt.X(x, type="temporal", title=None, axis=axis, scale=alt.Scale(type="utc"))


def _colour(frame: pl.DataFrame, series: str | None, order: Sequence[str], faint: str | None = None) -> dict[str, Any]:
    if series is None:
        return {}
    found = frame[series].unique(maintain_order=True).drop_nulls().cast(pl.String).to_list()
    names = [name for name in order if name in found] + sorted(set(found) - set(order))
    colours = [str(SERIES[place] if place < len(SERIES) else OTHERS) for place in range(len(names))]
    colours = [str(OTHERS) if name == faint else colour for name, colour in zip(names, colours, strict=True)]
    scale = alt.Scale(domain=names, range=colours)
    return {"color": alt.Color(series, type="nominal", sort=names, scale=scale, title=None)}


def _pointed(
    frame: pl.DataFrame, base: dict[str, Any], x: str, y: str, series: str | None, *, number: str, title: str
) -> list[alt.Chart]:
    """The points, which appear at the pointer; where there are few, all of them are seen."""
    near = alt.selection_point(fields=[x], nearest=True, on="pointerover", clear="pointerout", empty=False)
    seen = 28 if frame.height <= FEW * (frame[series].n_unique() if series else 1) else 0
    size = alt.condition(near, alt.value(70), alt.value(seen))
    points = (
        alt.Chart(frame)
        .mark_point(filled=True, opacity=1)
        .encode(**base, size=size, tooltip=_tips(y, series, number, title))
    )
    rule = alt.Chart(frame).mark_rule(color=str(SOFT), strokeWidth=1)
    shown = alt.condition(near, alt.value(0.5), alt.value(0))
    return [rule.encode(x=base["x"], opacity=shown), points.add_params(near)]


def _tips(y: str, series: str | None, number: str, title: str) -> list[alt.Tooltip]:
    tips = [alt.Tooltip(WHEN, type="nominal", title=" ")]
    tips += [alt.Tooltip(series, type="nominal", title=_titled(series))] if series else []
    return [*tips, alt.Tooltip(y, type="quantitative", format=number, title=title or _titled(y))]


def _titled(column: str) -> str:
    return column.replace("_", " ").capitalize()
