"""The pictures of Explore: a question's figures over time as a chart that can be brushed, so of a single layer.

Only the largest groups get a colour. For measures whose parts add up the rest is drawn as one; for the others,
such as active users, it is left out, and `told` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from html import escape
from typing import Any

import altair as alt
import msgspec
import polars as pl

from workbench import charts
from workbench.analysis.explore import ADDITIVE, PERIOD, STEPS, Granularity, Measure, Question, figures
from workbench.analysis.explore_choices import field_name, value_name
from workbench.charts import numbers, theme
from workbench.charts.overview import days
from workbench.charts.tiles import Tile, tiles

MOST_SERIES, MOST_BARS = 6, 10
FEW = 45
"""Up to so many steps, each is marked on its line."""
NAMES: dict[Measure, str] = {
    "events": "Events",
    "active_users": "Active users",
    "sessions": "Sessions",
    "events_per_user": "Events per user",
    "sum": "Sum",
    "mean": "Mean",
}
COUNTED: tuple[Measure, ...] = ("events", "active_users", "sessions")
SHARE = "share"
MOMENT = "%-d %b %Y, %H:%M"
SERIES, REST = "series", "(all others)"
BRUSH = "brush"
HEIGHT = 280
TELLS = {"hour": "%-d %b %Y, %H:%M", "day": "%a %-d %b %Y", "week": "Week of %-d %b %Y", "month": "%B %Y"}


class Drawn(msgspec.Struct, frozen=True):
    """A chart, and what it leaves out, in words; None if nothing."""

    chart: alt.Chart
    told: str | None


def measure_name(question: Question) -> str:
    """What is counted, in words."""
    of = f" of {field_name(question.number)}" if question.number else ""
    return NAMES[question.measure] + of


def title(question: Question) -> str:
    """What the chart shows, in words."""
    split = f" by {' and '.join(map(field_name, question.dimensions))}" if question.dimensions else ""
    each = f", each {'ISO week' if question.granularity == 'week' else question.granularity}"
    return f"{measure_name(question)}{split}{each if question.granularity else ''}"


def chart_note(question: Question, drawn: Drawn, *, wanted: Granularity | None) -> str:
    """How to use the chart, and how it is not quite what was asked for, in words."""
    told = ["Drag along the chart to narrow everything below to a part of it; click it to have all again."]
    if wanted is not None and wanted != question.granularity:
        told.append(f"The period has too many {wanted}s to be told apart: each {question.granularity} is drawn.")
    return " ".join([*told, *([drawn.told] if drawn.told else [])])


def period_name(since: datetime, until: datetime) -> str:
    """1–14 Jul 2026; with the hours where it is not of whole days."""
    if since.time() == until.time() == datetime.min.time():
        return days(since.date(), (until - timedelta(days=1)).date())
    if since.date() == until.date():
        return f"{since.strftime('%-d %b %Y, %H:%M')} to {until.strftime('%H:%M')} UTC"
    return f"{since.strftime(MOMENT)} to {until.strftime(MOMENT)} UTC"


def totals(question: Question, events: pl.DataFrame, *, is_part: bool) -> str:
    """The measure of the period as a whole, then who and what is behind it, as tiles."""
    asked = [question.total()]
    asked += [
        Question(measure=measure, since=question.since, until=question.until)
        for measure in COUNTED
        if measure != question.measure
    ]
    told = period_name(question.since, question.until) if question.since and question.until else ""
    shown = []
    for one in asked:
        value = figures(one, events).item()
        read = numbers.count if one.measure in COUNTED else ratio
        shown.append(Tile(label=measure_name(one), value=read(value), told=f"{told}, brushed" if is_part else told))
    return tiles(shown)


def ratio(value: float | None) -> str:
    """1,234.56, and small ones with three significant digits. A dash for None."""
    if value is None:
        return numbers.NOTHING
    return (f"{value:,.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}").replace("-", numbers.MINUS)


def breakdown(question: Question, whole: pl.DataFrame) -> pl.DataFrame:
    """The answer of the period as a whole, with each group's share of it where shares add up."""
    if question.measure != "events":
        return whole
    return whole.with_columns((pl.col("events") / pl.col("events").sum()).alias(SHARE))


def formats(question: Question) -> dict[str, str | Callable[..., Any]]:
    """How the columns of a breakdown are read."""
    read = numbers.count if question.measure in COUNTED else ratio
    return {**dict.fromkeys(question.names, value_name), question.measure: read, SHARE: numbers.share}


def listed(shown: int, most: int, *, is_group: bool) -> str:
    """Which events a list shows, in words."""
    of = "of the chosen group" if is_group else "behind the figures above"
    if shown < most:
        return f"All {shown:,} events {of}, the latest first."
    return f"The latest {most:,} events {of}. Narrow the period or add a filter to get to others."


def events_table(events: pl.DataFrame) -> pl.DataFrame:
    """Single events as they are listed: when, what and who first."""
    told = events.with_columns(pl.col("occurred_at").dt.to_string("%Y-%m-%d %H:%M:%S"))
    return told.select("occurred_at", "event_type", "user_id", "session_id", "properties", "event_id")


def values(params: dict[str, object]) -> str:
    """HTML that lists the values of a statement by their names."""
    rows = "".join(
        f"<dt>${escape(name)}</dt><dd>{escape(value.isoformat() if isinstance(value, datetime) else repr(value))}</dd>"
        for name, value in params.items()
    )
    return f'<dl class="wb-values">{rows}</dl>' if rows else ""


def filter_name(name: str) -> str:
    """HTML of what a filter is on."""
    return f'<b class="wb-filter">{escape(name)}</b>'


def series_of(question: Question, over_time: pl.DataFrame, whole: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """period, series, and the measure: of the largest groups and, where they add up, of the rest; the names in order.

    `over_time` is the answer with its granularity, `whole` that of the period as a whole, the largest first.
    """
    names = list(question.names)
    largest = whole.head(MOST_SERIES).select(names)
    labels = _distinct([" · ".join(value_name(text) for text in row) for row in largest.iter_rows()])
    named = over_time.join(
        largest.with_columns(pl.Series(SERIES, labels, dtype=pl.String)), on=names, how="left", nulls_equal=True
    )
    measure = pl.col(question.measure)
    if question.measure not in ADDITIVE:
        return named.drop_nulls(SERIES).select(PERIOD, SERIES, measure).sort(PERIOD), labels
    rest = [REST] if whole.height > MOST_SERIES else []
    added = named.group_by(PERIOD, pl.col(SERIES).fill_null(REST)).agg(measure.sum())
    return added.sort(PERIOD, SERIES), labels + rest


def draw(question: Question, over_time: pl.DataFrame, whole: pl.DataFrame) -> Drawn:
    """The figures over time, stacked bars where parts add up, otherwise lines; with a brush along the time."""
    grain = question.granularity or "day"
    number = charts.COUNT if over_time.schema[question.measure].is_integer() else charts.RATIO
    named = measure_name(question)
    # The page gets it as Arrow, whose 64-bit integers the browser's charts do not add up.
    over_time = over_time.with_columns(pl.col(question.measure).cast(pl.Float64))
    brush = alt.selection_interval(name=BRUSH, encodings=["x"])
    if not question.dimensions:
        bars = charts.bars(
            over_time, x=PERIOD, y=question.measure, title=named, number=number, grain=grain, height=HEIGHT
        )
        return Drawn(bars.add_params(brush), None)
    drawn, order = series_of(question, over_time, whole)
    if question.measure in ADDITIVE and not _any_negative(drawn, question.measure):
        chart = charts.bars(
            drawn,
            x=PERIOD,
            y=question.measure,
            series=SERIES,
            title=named,
            number=number,
            grain=grain,
            height=HEIGHT,
            order=order,
        )
        return Drawn(chart.add_params(brush), None)
    left_out = whole.height - len([name for name in order if name != REST])
    told = f"The {MOST_SERIES} largest of {whole.height:,} groups are drawn." if left_out > 0 else None
    return Drawn(_lines(drawn, question, named, number, order).add_params(brush), told)


def with_empty_steps(drawn: pl.DataFrame, question: Question) -> pl.DataFrame:
    """The series with the steps in which nothing happened: 0 where events or people are counted, else null."""
    every = STEPS[question.granularity or "day"]
    first, last = drawn[PERIOD].min(), drawn[PERIOD].max()
    if drawn.schema[PERIOD] == pl.Date:
        steps = pl.select(pl.date_range(pl.lit(first), pl.lit(last), every).alias(PERIOD))
    else:
        steps = pl.select(pl.datetime_range(pl.lit(first), pl.lit(last), every).alias(PERIOD))
    whole = drawn.select(SERIES).unique(maintain_order=True).join(steps, how="cross")
    found = whole.join(drawn, on=[SERIES, PERIOD], how="left", maintain_order="left").select(drawn.columns)
    return found.fill_null(0) if question.measure in COUNTED else found


def largest(question: Question, whole: pl.DataFrame) -> alt.Chart:
    """The largest groups of a breakdown as lying bars."""
    labels = [" · ".join(map(value_name, row)) for row in whole.head(MOST_BARS).select(question.names).iter_rows()]
    shown = whole.head(MOST_BARS).select(pl.Series("group", _distinct(labels)), pl.col(question.measure))
    number = charts.COUNT if whole.schema[question.measure].is_integer() else charts.RATIO
    return charts.bars(shown, x="group", y=question.measure, title=measure_name(question), number=number, across=True)


def _lines(drawn: pl.DataFrame, question: Question, named: str, number: str, order: list[str]) -> alt.Chart:
    drawn = with_empty_steps(drawn, question)
    few = drawn[PERIOD].n_unique() <= FEW
    told = pl.col(PERIOD).dt.to_string(TELLS[question.granularity or "day"]).alias("when")
    moments = pl.col(PERIOD).cast(pl.Datetime("us", "UTC"))
    colours = [str(theme.SERIES[at] if at < len(theme.SERIES) else theme.OTHERS) for at in range(len(order))]
    axis = alt.Axis(tickCount={"expr": "max(2, min(10, floor(width / 90)))"}, labelSeparation=12)
    tips = [
        alt.Tooltip("when", type="nominal", title=" "),
        alt.Tooltip(SERIES, type="nominal", title="Group"),
        alt.Tooltip(question.measure, type="quantitative", format=number, title=named),
    ]
    chart: alt.Chart = (
        alt.Chart(drawn.with_columns(told, moments))
        .mark_line(point=alt.OverlayMarkDef(filled=True, size=26) if few else False)
        .encode(
            x=alt.X(PERIOD, type="temporal", title=None, axis=axis, scale=alt.Scale(type="utc")),
            y=alt.Y(question.measure, type="quantitative", title=named, axis=alt.Axis(format=number)),
            color=alt.Color(
                SERIES, type="nominal", sort=order, scale=alt.Scale(domain=order, range=colours), title=None
            ),
            tooltip=tips,
        )
    )
    return theme.themed(chart.properties(width="container", height=HEIGHT))


def _distinct(labels: list[str]) -> list[str]:
    """Two groups may be spelt alike when their values are joined; the later one gets a number."""
    found: list[str] = []
    for text in labels:
        name, number = text, 2
        while name in found or name == REST:
            name, number = f"{text} ({number})", number + 1
        found.append(name)
    return found


def _any_negative(drawn: pl.DataFrame, measure: str) -> bool:
    return bool((drawn[measure] < 0).any())
