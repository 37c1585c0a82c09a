"""The pictures of the SQL notebook: an answer as a chart, the schema, and a statement that has no answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import altair as alt
import polars as pl

from workbench.analysis.statement import MOST_POINTS, Ending, Entry, Shape
from workbench.analysis.statement import remark as remark_on
from workbench.charts.series import Grain, bars, line
from workbench.charts.theme import COUNT, RATIO
from workbench.session.reading import Progress

SHAPES: dict[str, Shape] = {"Lines": "line", "Standing bars": "bars", "Lying bars": "lying bars"}
ACROSS, UPWARD, GROUP = "across", "upward", "group"
"""Columns of a drawn frame: an answer's own names may be what Vega takes for a path."""
DAY_US = 86_400_000_000
ENDED = {"cancelled": "was cancelled", "refused": "is refused", "failed": "failed"}


def draw(rows: pl.DataFrame, *, shape: Shape, x: str, y: str, series: str | None) -> alt.Chart | alt.LayerChart:
    """A chart of the first rows of an answer; `y` is a column of numbers."""
    parts = {ACROSS: x, UPWARD: y} | ({GROUP: series} if series else {})
    drawn = rows.head(MOST_POINTS).select(pl.col(column).alias(name) for name, column in parts.items())
    drawn = drawn.drop_nulls([ACROSS, UPWARD]).with_columns(pl.col(UPWARD).cast(pl.Float64))
    kind = drawn.schema[ACROSS]
    if not kind.is_temporal() or kind in (pl.Time, pl.Duration) or shape == "lying bars":
        drawn = drawn.with_columns(pl.col(ACROSS).cast(pl.String))
    elif isinstance(kind, pl.Datetime) and kind.time_zone is None:
        drawn = drawn.with_columns(pl.col(ACROSS).dt.replace_time_zone("UTC"))
    if series:
        drawn = drawn.with_columns(pl.col(GROUP).cast(pl.String))
    number = COUNT if rows.schema[y].is_integer() else RATIO
    group, grain = GROUP if series else None, _grain(drawn)
    if shape == "line":
        return line(drawn, x=ACROSS, y=UPWARD, series=group, title=y, number=number, grain=grain)
    across = shape == "lying bars"
    return bars(drawn, x=ACROSS, y=UPWARD, series=group, title=y, number=number, grain=grain, across=across)


def schema(tables: pl.DataFrame) -> str:
    """HTML of the tables with their columns, each of which unfolds; `tables` is `Workbench.tables()`."""
    shown = []
    for (name,), columns in tables.group_by("table", maintain_order=True):
        rows = "".join(
            f"<dt>{escape(column)} <small>{escape(kind)}</small></dt><dd>{escape(told)}</dd>"
            for column, kind, told in columns.select("column", "type", "description").iter_rows()
        )
        shown.append(f"<details><summary>{escape(str(name))}</summary><dl>{rows}</dl></details>")
    return f'<div class="wb-schema">{"".join(shown)}</div>'


def refusal(ending: Ending) -> str:
    """HTML that says why a statement has no answer, with the place marked; "" if it has one."""
    if ending.error is None or ending.rows is not None:
        return ""
    remark = remark_on(ending.error, ending.asked.text)
    place = ""
    if remark.before or remark.after:
        where = f"{remark.line}: " if remark.line else ""
        word = re.match(r"\w+|.", remark.after)
        length = word.end() if word else 0
        mark = " " * len(where + remark.before) + "▲"
        line_told = f"{escape(where + remark.before)}<b>{escape(remark.after[:length])}</b>"
        line_told += f"{escape(remark.after[length:])}\n<b>{mark}</b>"
        place = f'<pre class="wb-place">{line_told}</pre>'
    aside = f"<p>{escape(remark.remedy)}</p>" if remark.remedy else ""
    return (
        f'<section class="wb-screen wb-bad" role="alert"><h2>The statement {escape(ENDED[ending.told])}</h2>'
        f'<p class="wb-what">{escape(remark.said)}</p>{place}{aside}</section>'
    )


def too_many(ending: Ending) -> str:
    """HTML that says that there are more rows; "" if there are not."""
    if ending.error is None:
        return ""
    remedy = ending.error.remedy or "Ask for less, or allow more rows."
    return (
        f'<aside class="wb-banner" role="status"><b>There are more rows.</b> These are the {escape(ending.told)}. '
        f"{escape(remedy)}</aside>"
    )


def progress(progress: Progress | None) -> str:
    """HTML that tells how far a statement is."""
    told = "Waiting for the database" if progress is None else f"{progress.seconds:.1f} seconds, {progress.rows:,} rows"
    return f'<p class="wb-note" role="status"><span class="wb-running"></span>{escape(told)}</p>'


def shape_name(shape: Shape) -> str | None:
    """The name of a shape; None for none."""
    return next((name for name, one in SHAPES.items() if one == shape), None)


def history(entries: Sequence[Entry]) -> pl.DataFrame:
    """The history as a table: when, statement, how it ended, seconds."""
    return pl.DataFrame(
        {
            "#": [entry.number for entry in entries],
            "at": [entry.at.strftime("%H:%M:%S") for entry in entries],
            "statement": [" ".join(entry.text.split()) for entry in entries],
            "ended": [entry.told for entry in entries],
            "seconds": [round(entry.seconds, 2) for entry in entries],
        },
        schema={"#": pl.Int64, "at": pl.String, "statement": pl.String, "ended": pl.String, "seconds": pl.Float64},
    )


def _grain(drawn: pl.DataFrame) -> Grain:
    """How long the shortest step between two moments is."""
    if not drawn.schema[ACROSS].is_temporal():
        return "day"
    steps = drawn[ACROSS].cast(pl.Datetime("us")).unique().sort().diff().drop_nulls().cast(pl.Int64)
    shortest = steps.min() if steps.len() else DAY_US
    assert isinstance(shortest, int)
    if shortest < DAY_US:
        return "hour"
    return "day" if shortest < 7 * DAY_US else "week" if shortest < 28 * DAY_US else "month"
