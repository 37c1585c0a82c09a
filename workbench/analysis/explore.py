"""One question about a tenant's events, as a value, and its answer: what the notebook Explore is made of.

A question has a measure, dimensions to split it by, filters, a period and a granularity. It can be answered here,
from a frame of `fct_usage_events`; `explore_sql` tells it as SQL and `explore_code` as Polars code, and all three
give the same figures. The measures:

- events: all of them;
- active users and sessions: the distinct users and sessions, what has none does not count;
- events per user: the events that have a user, by the active users;
- sum and mean: of a number, over the events that have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, get_args

import msgspec
import polars as pl

from pipeline.core.errors import WorkbenchError
from workbench.analysis.explore_properties import property_number, property_text
from workbench.analysis.fields import COLUMNS, Field

Measure = Literal["events", "active_users", "sessions", "events_per_user", "sum", "mean"]
Granularity = Literal["hour", "day", "week", "month"]
Operator = Literal["is", "is_not", "contains", "below", "at_least", "before", "since"]

MEASURES: tuple[Measure, ...] = get_args(Measure)
OF_A_NUMBER: tuple[Measure, ...] = ("sum", "mean")
ADDITIVE: tuple[Measure, ...] = ("events", "sum")
"""Measures whose parts add up to the whole, so that they may be stacked."""
STEPS: dict[Granularity, str] = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}
MOMENTS = ("occurred_at", "received_at")
NUMBERS = ("lag_seconds",)
PERIOD, NUMBER = "period", "number"
EVENT = ("event_id", "event_type", "occurred_at", "user_id", "session_id", "properties")


class QuestionError(WorkbenchError):
    """The question cannot be asked."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on events: the operator says what `value` is.

    `is`, `is_not`: any of several texts, None for "has none"; `contains`: a text, as it is spelt;
    `below`, `at_least`: a number; `before`, `since`: an aware moment. What has no value fulfils only `is_not` and
    an `is` that names None.
    """

    field: Field
    operator: Operator
    value: tuple[str | None, ...] | str | float | datetime

    def __post_init__(self) -> None:
        wanted = {"is": tuple, "is_not": tuple, "contains": str, "before": datetime, "since": datetime}
        if not isinstance(self.value, wanted.get(self.operator, int | float)):
            raise QuestionError(f"A filter with {self.operator!r} does not take {self.value!r}.")
        if self.operator in ("is", "is_not") and not self.value:
            raise QuestionError(f"The filter on {self.field.name!r} names no value.", remedy="Choose one, or drop it.")
        if isinstance(self.value, datetime):
            _require_aware(self.value)
            _require_one_of(self.field, MOMENTS, self.operator, properties=False)
        elif isinstance(self.value, int | float):
            if not math.isfinite(self.value):
                raise QuestionError("A number to compare with is not finite.", remedy="Give another.")
            _require_one_of(self.field, NUMBERS, self.operator, properties=True)
        else:
            _require_one_of(self.field, COLUMNS, self.operator, properties=True)
            _require_storable([self.value] if isinstance(self.value, str) else self.value)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. Without a granularity the period is taken as a whole, without dimensions all events together."""

    measure: Measure = "events"
    number: Field | None = None
    """What `sum` and `mean` are of."""
    dimensions: tuple[Field, ...] = ()
    filters: tuple[Filter, ...] = ()
    since: datetime | None = None
    """From this moment on; None from the first event."""
    until: datetime | None = None
    """Before this moment; None to the last event."""
    granularity: Granularity | None = None

    def __post_init__(self) -> None:
        if (self.measure in OF_A_NUMBER) != (self.number is not None):
            raise QuestionError(
                f"The measure {self.measure!r} and the number {self.number and self.number.name!r} do not go together.",
                remedy="Sum and mean are of a number, the other measures of none.",
            )
        if self.number is not None:
            _require_one_of(self.number, NUMBERS, self.measure, properties=True)
        for dimension in self.dimensions:
            _require_one_of(dimension, COLUMNS, "dimension", properties=True)
        if len(set(self.dimensions)) != len(self.dimensions):
            raise QuestionError("A dimension is named twice.", remedy="Name each once.")
        for moment in filter(None, (self.since, self.until)):
            _require_aware(moment)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the answer that hold the dimensions."""
        return tuple(column_name(dimension, at) for at, dimension in enumerate(self.dimensions, start=1))

    def whole(self) -> Question:
        """The same of the period as a whole."""
        return msgspec.structs.replace(self, granularity=None)

    def total(self) -> Question:
        """The same of the period as a whole and all events together."""
        return msgspec.structs.replace(self, granularity=None, dimensions=())

    def within(self, since: datetime | None, until: datetime | None) -> Question:
        """The same of another period."""
        return msgspec.structs.replace(self, since=since, until=until)

    def where(self, filters: Iterable[Filter]) -> Question:
        """The same with further filters."""
        return msgspec.structs.replace(self, filters=(*self.filters, *filters))


def column_name(dimension: Field, at: int) -> str:
    """What a dimension's column is called; an odd property gets its place among the dimensions for a name."""
    if dimension.of == "column":
        return dimension.name
    plain = all(letter.isalnum() or letter in "_ .-/" for letter in dimension.name)
    return f"properties.{dimension.name}" if plain and 0 < len(dimension.name.encode()) <= 40 else f"property #{at}"


def answer(question: Question, frame: pl.LazyFrame) -> pl.DataFrame:
    """The figures of a question, from `fct_usage_events`.

    Columns: `period` (the first day, or the hour, in UTC) if there is a granularity, one of text for each dimension
    (`Question.names`, null for "has none"), and the measure under its name. Rows in the order of the period, then of
    the dimensions; without a granularity the largest first. Steps without events have no row.
    """
    return figures(question, selected(question, frame).collect())


def selected(question: Question, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The events that a question is about, with what its answer is made of: to be asked several questions that
    differ in nothing but granularity and a narrower period."""
    columns = [pl.col("occurred_at", "user_id", "session_id")]
    columns += [text_expression(dimension).alias(f"dimension {at}") for at, dimension in enumerate(question.dimensions)]
    columns += [number_expression(question.number).alias(NUMBER)] if question.number else []
    return matching(question, frame).select(columns)


def figures(question: Question, events: pl.DataFrame) -> pl.DataFrame:
    """The answer to a question from what `selected` found for it, or for one of a longer period."""
    held = in_period(question, events.lazy())
    keys: list[pl.Expr] = []
    if question.granularity:
        keys.append(_period(question.granularity).alias(PERIOD))
    keys += [pl.col(f"dimension {at}").alias(name) for at, name in enumerate(question.names)]
    measured = _measured(question.measure).alias(question.measure)
    if not keys:
        return held.select(measured).collect()
    found = held.group_by(keys).agg(measured)
    by = [*([PERIOD] if question.granularity else [question.measure]), *question.names]
    descending = [not question.granularity, *[False] * len(question.names)]
    return found.sort(by, descending=descending, nulls_last=True).collect()


def single_events(question: Question, frame: pl.LazyFrame, *, most: int) -> pl.DataFrame:
    """The latest of the events that a question is about, as they were sent, `most` at the most."""
    found = matching(question, frame).select(EVENT)
    return found.sort("occurred_at", "event_id", descending=[True, False]).head(most).collect()


def matching(question: Question, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of `fct_usage_events` that a question is about."""
    found = in_period(question, frame)
    for one in question.filters:
        found = found.filter(condition(one))
    return found


def in_period(question: Question, frame: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of the question's period."""
    if question.since is not None:
        frame = frame.filter(pl.col("occurred_at") >= question.since)
    if question.until is not None:
        frame = frame.filter(pl.col("occurred_at") < question.until)
    return frame


def condition(one: Filter) -> pl.Expr:
    """A filter as an expression on `fct_usage_events`, never null."""
    value = one.value
    if isinstance(value, tuple):
        texts = [text for text in value if text is not None]
        field = text_expression(one.field)
        found = field.is_in(texts).fill_null(None in value)
        return found if one.operator == "is" else ~found
    if isinstance(value, str):
        return text_expression(one.field).str.contains(value, literal=True).fill_null(False)
    field = pl.col(one.field.name) if isinstance(value, datetime) else number_expression(one.field)
    held = field < value if one.operator in ("before", "below") else field >= value
    return held.fill_null(False)


def text_expression(field: Field) -> pl.Expr:
    """A column or property as text."""
    return pl.col(field.name) if field.of == "column" else property_text(field.name)


def number_expression(field: Field) -> pl.Expr:
    """A column or property as a 64-bit float."""
    return pl.col(field.name) if field.of == "column" else property_number(field.name)


def _period(granularity: Granularity) -> pl.Expr:
    start = pl.col("occurred_at").dt.truncate(STEPS[granularity])
    return start if granularity == "hour" else start.dt.date()


def _measured(measure: Measure) -> pl.Expr:
    users = pl.col("user_id").drop_nulls()
    number = pl.col(NUMBER)
    match measure:
        case "events":
            return pl.len().cast(pl.Int64)
        case "active_users":
            return users.n_unique().cast(pl.Int64)
        case "sessions":
            return pl.col("session_id").drop_nulls().n_unique().cast(pl.Int64)
        case "events_per_user":
            return pl.when(users.len() > 0).then(users.len() / users.n_unique())
        case "sum":
            return pl.when(number.count() > 0).then(number.sum())
        case "mean":
            return number.mean()


def _require_one_of(field: Field, columns: tuple[str, ...], use: str, *, properties: bool) -> None:
    if field.of == "property" and properties:
        _require_storable([field.name])
    elif field.of == "property" or field.name not in columns:
        raise QuestionError(f"{field.name!r} cannot be used for {use!r}.", remedy=f"Columns: {', '.join(columns)}.")


def _require_storable(texts: Iterable[str | None]) -> None:
    for text in texts:
        if text is not None and ("\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)):
            raise QuestionError(
                "A text holds a zero character or half of a surrogate pair; no event has that.", remedy="Leave it out."
            )


def _require_aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise QuestionError(f"The moment {moment.isoformat()} has no time zone.", remedy="Give one in UTC.")
