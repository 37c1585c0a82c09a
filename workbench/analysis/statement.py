"""What surrounds a typed statement: how it ended, the session's history, and which chart its answer suggests.

Running it is the Workbench's work, and what it may read the database's decision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from pipeline.core.errors import WorkbenchError
from workbench.session import StatementCancelled, StatementRefused, TooManyRows
from workbench.session.statement import TOKEN

Shape = Literal["line", "bars", "lying bars", "none"]

MOST_ROWS = {"100 rows": 100, "1,000 rows": 1_000, "10,000 rows": 10_000, "100,000 rows": 100_000}
MOST_SECONDS = {"5 seconds": 5.0, "30 seconds": 30.0, "60 seconds": 60.0, "2 minutes": 120.0}
KEPT = 50
"""Statements of a session that are remembered."""
MOST_LINES = 6
MOST_BARS = 40
MOST_POINTS = 5_000
PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
MARK = re.compile(r" *\^")
SPACE = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and its limits; `number` counts the statements of a session from 1."""

    number: int
    text: str
    most_rows: int
    most_seconds: float


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a statement ended: with rows, with an error, or, beyond the limit of rows, with both."""

    asked: Asked
    at: datetime
    seconds: float
    rows: pl.DataFrame | None = None
    error: WorkbenchError | None = None

    @property
    def told(self) -> str:
        """The ending in a few words."""
        if isinstance(self.error, TooManyRows) and self.rows is not None:
            return f"first {self.rows.height:,} rows"
        if isinstance(self.error, StatementCancelled):
            return "cancelled"
        if self.error is not None:
            return "refused" if isinstance(self.error, StatementRefused) else "failed"
        height = 0 if self.rows is None else self.rows.height
        return f"{height:,} {'row' if height == 1 else 'rows'}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of the session's history, without its rows."""

    number: int
    text: str
    at: datetime
    seconds: float
    told: str


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """Why a statement has no answer: the reason, the line of the statement with what is before and after the place
    that it is about, and what to do."""

    said: str
    before: str = ""
    after: str = ""
    line: int | None = None
    remedy: str | None = None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A chart of an answer; shape "none" if nothing in it can be drawn."""

    shape: Shape
    x: str | None = None
    y: str | None = None
    series: str | None = None


def ended(asked: Asked, rows: pl.DataFrame | WorkbenchError, *, at: datetime, seconds: float) -> Ending:
    """How it ended; of an answer that is too long the first rows are kept."""
    if isinstance(rows, pl.DataFrame):
        return Ending(asked=asked, at=at, seconds=seconds, rows=rows)
    first = rows.first if isinstance(rows, TooManyRows) else None
    return Ending(asked=asked, at=at, seconds=seconds, rows=first, error=rows)


def remembered(history: Sequence[Entry], ending: Ending) -> tuple[Entry, ...]:
    """The history with another statement, the latest first."""
    asked = ending.asked
    entry = Entry(number=asked.number, text=asked.text, at=ending.at, seconds=ending.seconds, told=ending.told)
    return (entry, *(one for one in history if one.number != asked.number))[:KEPT]


def remark(error: WorkbenchError, text: str) -> Remark:
    """An error's parts, the place found in its message or, where a whole statement is refused, in the statement."""
    lines = error.message.split("\n")
    if len(lines) >= 3 and MARK.fullmatch(lines[-1]):
        marked, column = lines[-2], len(lines[-1]) - 1
        number = next((at for at, line in enumerate(text.split("\n"), start=1) if line == marked), None)
        return Remark(
            said="\n".join(lines[:-2]),
            before=marked[:column],
            after=marked[column:],
            line=number,
            remedy=error.remedy,
        )
    if isinstance(error, StatementRefused) and text.strip():
        start = _refused_at(error, text)
        before = text[:start].rpartition("\n")[2]
        return Remark(
            said=error.message,
            before=before,
            after=text[start:].partition("\n")[0],
            line=text.count("\n", 0, start) + 1,
            remedy=error.remedy,
        )
    return Remark(said=error.message, remedy=error.remedy)


def first_look(table: str) -> str:
    """A statement that shows some rows of a table."""
    name = table if PLAIN_NAME.fullmatch(table) else '"' + table.replace('"', '""') + '"'
    return f"select *\nfrom analytics.{name}\nlimit 100"


def numbers(rows: pl.DataFrame) -> list[str]:
    """The columns that hold numbers."""
    return [name for name, kind in rows.schema.items() if kind.is_numeric()]


def suggest(rows: pl.DataFrame) -> Suggestion:
    """A line for numbers over time, bars for numbers by name: by the types of the columns, from left to right."""
    moments = [name for name, kind in rows.schema.items() if kind.is_temporal() and not isinstance(kind, pl.Duration)]
    moments = [name for name in moments if rows.schema[name] != pl.Time]
    counted = numbers(rows)
    names = [name for name, kind in rows.schema.items() if kind in (pl.String, pl.Boolean)]
    if not rows.height or not counted:
        return Suggestion(shape="none")
    if moments and rows[moments[0]].n_unique() > 1:
        drawn = [name for name in names if 1 < rows[name].n_unique() <= MOST_LINES]
        repeated = rows[moments[0]].is_duplicated().any()
        series = drawn[0] if drawn and repeated else None
        if not repeated or series:
            return Suggestion(shape="line", x=moments[0], y=counted[0], series=series)
    if names and 1 < rows.height <= MOST_BARS and not rows[names[0]].is_duplicated().any():
        return Suggestion(shape="lying bars", x=names[0], y=counted[0])
    if len(counted) > 1 and 1 < rows.height <= MOST_BARS and not rows[counted[0]].is_duplicated().any():
        return Suggestion(shape="bars", x=counted[0], y=counted[1])
    return Suggestion(shape="none")


def _refused_at(error: StatementRefused, text: str) -> int:
    """Where a refused statement begins: the second one, if it is refused for having one."""
    space = SPACE.match(text)
    start = space.end() if space else 0
    ends = [token.end() for token in TOKEN.finditer(text) if token["end"]]
    if "more than one" in error.message and ends:
        space = SPACE.match(text, ends[0])
        start = space.end() if space else ends[0]
    return min(start, len(text) - 1)
