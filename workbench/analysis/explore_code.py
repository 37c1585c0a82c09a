"""A question as Python code with Polars, to be taken along into any notebook or script.

The code reads `wb`, a Workbench, and leaves its figures in `answer`. Keys and values stand in it as Python literals.
"""

from __future__ import annotations

from datetime import UTC, datetime

from workbench.analysis.explore import EVENT, NUMBER, PERIOD, STEPS, Filter, Measure, Question
from workbench.analysis.fields import Field

MEASURED: dict[Measure, str] = {
    "events": "pl.len().cast(pl.Int64)",
    "active_users": 'pl.col("user_id").drop_nulls().n_unique().cast(pl.Int64)',
    "sessions": 'pl.col("session_id").drop_nulls().n_unique().cast(pl.Int64)',
    "events_per_user": (
        'pl.when(pl.col("user_id").count() > 0)'
        '.then(pl.col("user_id").count() / pl.col("user_id").drop_nulls().n_unique())'
    ),
    "sum": f'pl.when(pl.col("{NUMBER}").count() > 0).then(pl.col("{NUMBER}").sum())',
    "mean": f'pl.col("{NUMBER}").mean()',
}


def as_polars(question: Question) -> str:
    """Code whose `answer` is the DataFrame of `explore.answer`."""
    added = [f"{_text(field)}.alias({name!r})" for field, name in _properties(question)]
    if question.number:
        added.append(f'{_number(question.number)}.alias("{NUMBER}")')
    if question.granularity:
        start = f'pl.col("occurred_at").dt.truncate("{STEPS[question.granularity]}")'
        added.append(f'{start}{"" if question.granularity == "hour" else ".dt.date()"}.alias("{PERIOD}")')
    steps = ["    .with_columns(", *_lines(added), "    )"] if added else []
    measured = f'{MEASURED[question.measure]}.alias("{question.measure}")'
    keys = [*([PERIOD] if question.granularity else []), *question.names]
    if keys:
        first = PERIOD if question.granularity else question.measure
        order = [first, *question.names]
        descending = [not question.granularity, *[False] * len(question.names)]
        steps += [f"    .group_by({keys!r})", f"    .agg({measured})"]
        steps += [f"    .sort({order!r}, descending={descending!r}, nulls_last=True)"]
    else:
        steps += [f"    .select({measured})"]
    return _code("answer", question, steps)


def single_events_code(question: Question, *, most: int) -> str:
    """Code whose `answer` is the DataFrame of `explore.single_events`."""
    steps = [f"    .select({list(EVENT)!r})", '    .sort("occurred_at", "event_id", descending=[True, False])']
    return _code("answer", question, [*steps, f"    .head({int(most)})"])


def literal(value: object) -> str:
    """A value as a Python literal; a moment as one in UTC, from the names `datetime` and `UTC`."""
    if not isinstance(value, datetime):
        return repr(value)
    at = value.astimezone(UTC)
    parts = [at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond]
    while len(parts) > 3 and not parts[-1]:
        parts.pop()
    return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"


def _code(name: str, question: Question, steps: list[str]) -> str:
    conditions = _conditions(question)
    filtered = ["    .filter(", *_lines(conditions), "    )"] if conditions else []
    body = [f"{name} = (", '    wb.table("fct_usage_events")', *filtered, *steps, "    .collect()", ")"]
    return "\n".join([*_imports("\n".join(body)), "", *body, ""])


def _imports(body: str) -> list[str]:
    found = ["from datetime import UTC, datetime", ""] if "datetime(" in body else []
    found.append("import polars as pl")
    used = [name for name in ("property_number", "property_text") if f"{name}(" in body]
    if used:
        found += ["", f"from workbench.analysis.explore_properties import {', '.join(used)}"]
    return found


def _properties(question: Question) -> list[tuple[Field, str]]:
    named = zip(question.dimensions, question.names, strict=True)
    return [(field, name) for field, name in named if field.of == "property"]


def _conditions(question: Question) -> list[str]:
    conditions = []
    if question.since is not None:
        conditions.append(f'pl.col("occurred_at") >= {literal(question.since)}')
    if question.until is not None:
        conditions.append(f'pl.col("occurred_at") < {literal(question.until)}')
    return conditions + [_condition(one) for one in question.filters]


def _condition(one: Filter) -> str:
    value = one.value
    if isinstance(value, tuple):
        texts = [text for text in value if text is not None]
        found = f"{_text(one.field)}.is_in({texts!r}).fill_null({None in value})"
        return found if one.operator == "is" else f"~{found}"
    if isinstance(value, str):
        return f"{_text(one.field)}.str.contains({value!r}, literal=True).fill_null(False)"
    compared = "<" if one.operator in ("before", "below") else ">="
    if isinstance(value, float | int):
        return f"({_number(one.field)} {compared} {float(value)!r}).fill_null(False)"
    return f"pl.col({one.field.name!r}) {compared} {literal(value)}"


def _text(field: Field) -> str:
    return f"pl.col({field.name!r})" if field.of == "column" else f"property_text({field.name!r})"


def _number(field: Field) -> str:
    return f"pl.col({field.name!r})" if field.of == "column" else f"property_number({field.name!r})"


def _lines(parts: list[str]) -> list[str]:
    return [f"        {part}," for part in parts]
