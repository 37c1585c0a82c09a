"""A frame as an HTML table that is read at a glance: numbers aligned, lines the size of a word, changes marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Literal

import msgspec
import polars as pl

from workbench.charts import numbers
from workbench.charts.durations import duration
from workbench.charts.sparks import sparkline
from workbench.charts.tiles import badge, marked

Shown = Literal["text", "count", "share", "ratio", "difference", "change", "moved", "duration", "day", "trend", "bar"]

DAY = "%-d %b %Y"
AS_TEXT: dict[str, Callable[[Any], str]] = {
    "count": numbers.count,
    "share": numbers.share,
    "ratio": numbers.ratio,
    "difference": numbers.difference,
    "duration": duration,
}


class Column(msgspec.Struct, frozen=True):
    """A column of the frame, its head, and how its values are shown."""

    field: str
    title: str
    shown: Shown = "text"
    minor: bool = False
    """It may be left out where there is little room."""

    @property
    def classes(self) -> str:
        """Its cells' classes in the style sheet."""
        return f"wb-{self.shown} wb-minor" if self.minor else f"wb-{self.shown}"


def table(frame: pl.DataFrame, columns: Sequence[Column], *, told: str) -> str:
    """The rows of the frame; the first column names them. `told` says what it is, for those who do not see it."""
    head = "".join(f'<th scope="col" class="{column.classes}">{escape(column.title)}</th>' for column in columns)
    fields = [column.field for column in columns]
    rows = [_row(columns, values) for values in frame.select(fields).iter_rows()]
    return (
        f'<div class="wb-scroll" tabindex="0" role="region" aria-label="{escape(told)}"><table class="wb-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(columns: Sequence[Column], values: Sequence[Any]) -> str:
    first, *rest = zip(columns, values, strict=True)
    cells = "".join(f'<td class="{column.classes}">{_cell(column, value)}</td>' for column, value in rest)
    return f'<tr><th scope="row">{_cell(*first)}</th>{cells}</tr>'


def _cell(column: Column, value: Any) -> str:
    if column.shown == "change":
        return badge(value)
    if column.shown == "moved":
        return marked(value, numbers.difference(value))
    if column.shown == "trend":
        return "" if value is None else sparkline(value, told=f"{column.title}: {', '.join(map(str, value))}")
    if column.shown == "bar":
        part = 100 * min(max(value or 0, 0), 1)
        figure = f'<span class="wb-figure">{numbers.share(value)}</span>'
        return f'<span class="wb-part"><i style="width:{part:.1f}%"></i></span>{figure}'
    if value is None:
        return numbers.NOTHING
    if column.shown == "day":
        return f"<time>{value.strftime(DAY)}</time>"
    return escape(AS_TEXT.get(column.shown, str)(value))
