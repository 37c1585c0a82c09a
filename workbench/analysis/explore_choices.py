"""The choices of the notebook Explore, as people read them, and the question that they make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from workbench.analysis.explore import MOMENTS, NUMBERS, OF_A_NUMBER, Filter, Granularity, Measure, Operator, Question
from workbench.analysis.explore_options import Properties, is_too_fine, last_days, start_of, suited
from workbench.analysis.fields import Field

MEASURES: dict[str, Measure] = {
    "Events": "events",
    "Active users": "active_users",
    "Sessions": "sessions",
    "Events per user": "events_per_user",
    "Sum of a number": "sum",
    "Mean of a number": "mean",
}
PERIODS: dict[str, int | None] = {
    "Last 7 days": 7,
    "Last 28 days": 28,
    "Last 90 days": 90,
    "Last 12 months": 365,
    "All time": None,
}
BETWEEN = "Between two days"
FEW = 200
"""A period with fewer events shows little."""
GRANULARITIES: dict[str, Granularity | None] = {
    "Fitting": None,
    "Hour": "hour",
    "Day": "day",
    "ISO week": "week",
    "Month": "month",
}
OPERATORS: dict[str, Operator] = {
    "is any of": "is",
    "is none of": "is_not",
    "contains": "contains",
    "is below": "below",
    "is at least": "at_least",
    "is before": "before",
    "is since": "since",
}
COLUMN_NAMES = {
    "event_type": "Event type",
    "user_id": "User",
    "session_id": "Session",
    "lag_seconds": "Seconds until receipt",
    "occurred_at": "Moment of the event",
    "received_at": "Moment of receipt",
}
NONE = "(none)"


def value_name(text: str | None) -> str:
    """A value for people: what could be taken for a missing one stands in quotation marks."""
    if text is None:
        return NONE
    return json.dumps(text, ensure_ascii=False) if not text.strip() or text[0] in '("' else text


def field_name(field: Field) -> str:
    """A column or a property for people."""
    if field.of == "column":
        return COLUMN_NAMES[field.name]
    return f"properties.{field.name}"


def named(fields: Iterable[Field]) -> dict[str, Field]:
    """Fields by their names for people."""
    return {field_name(field): field for field in fields}


def filterable(found: Properties) -> dict[str, Field]:
    """What can be filtered, by name."""
    columns = [Field(name, "column") for name in (*NUMBERS, *MOMENTS)]
    return named([*found.dimensions, *columns])


def operators_for(field: Field, found: Properties) -> list[str]:
    """The names of the operators that a field takes."""
    if field.of == "column" and field.name in MOMENTS:
        kinds: Sequence[Operator] = ("since", "before")
    elif field.of == "column" and field.name in NUMBERS:
        kinds = ("at_least", "below")
    else:
        kinds = ("is", "is_not", "contains", *(("at_least", "below") if field in found.numbers else ()))
    return [name for name, operator in OPERATORS.items() if operator in kinds]


def filter_of(field: Field, operator: Operator, value: Any) -> Filter | None:
    """The filter of an input's value; None as long as nothing is put in."""
    if value is None or value in ("", []):
        return None
    if isinstance(value, list):
        value = tuple(value)
    elif isinstance(value, datetime):
        value = value.replace(tzinfo=UTC)
    elif isinstance(value, int):
        value = float(value)
    return Filter(field=field, operator=operator, value=value)


def question_of(
    *,
    measure: Measure,
    number: Field | None,
    dimensions: Sequence[Field],
    filters: Iterable[Filter | None],
    period: tuple[datetime, datetime],
    granularity: Granularity | None,
) -> Question:
    """The question that is chosen; a granularity that fits, where none is chosen or one too fine to be drawn."""
    since, until = period
    if granularity is None or is_too_fine(granularity, since, until):
        granularity = suited(since, until)
    return Question(
        measure=measure,
        number=number if measure in OF_A_NUMBER else None,
        dimensions=tuple(dimensions),
        filters=tuple(one for one in filters if one is not None),
        since=since,
        until=until,
        granularity=granularity,
    )


def period_of(
    chosen: str, days: tuple[date, date] | None, bounds: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """From when to before when: whole days, the last of them that of the last event, or of the two chosen."""
    first, last = bounds
    if chosen == BETWEEN and days is not None:
        start, end = sorted(days)
        midnight = datetime.min.time()
        return (
            datetime.combine(start, midnight, tzinfo=UTC),
            datetime.combine(end, midnight, tzinfo=UTC) + timedelta(days=1),
        )
    length = PERIODS.get(chosen)
    since, until = last_days(last, length or 1)
    return (since if length else start_of(first, "day")), until


def usual_period(events: pl.LazyFrame, bounds: tuple[datetime, datetime]) -> str:
    """The name of the period to begin with: the shortest from 90 days on that has more than a few events."""
    for name in ("Last 90 days", "Last 12 months"):
        since, _ = period_of(name, None, bounds)
        if events.filter(pl.col("occurred_at") >= since).head(FEW).select(pl.len()).collect().item() == FEW:
            return name
    return "All time"


def filters_of_group(question: Question, group: Mapping[str, str | None]) -> list[Filter]:
    """The filters that leave the events of one row of an answer."""
    return [
        Filter(field=dimension, operator="is", value=(group[name],))
        for dimension, name in zip(question.dimensions, question.names, strict=True)
    ]
