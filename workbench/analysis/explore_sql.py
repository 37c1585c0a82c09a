"""A question as SQL, to be asked by `Workbench.sql` or at any PostgreSQL client.

Nothing that a question carries is written into the statement: keys and values are parameters, by name. Only the
names of columns are written, and of properties as headings, from letters, digits and `_ .-/` alone.
"""

from __future__ import annotations

from workbench.analysis.explore import NUMBER, PERIOD, Filter, Granularity, Measure, Question
from workbench.analysis.explore_code import literal
from workbench.analysis.fields import Field

Params = dict[str, object]

MEASURED: dict[Measure, str] = {
    "events": "count(*)",
    "active_users": "count(distinct user_id)",
    "sessions": "count(distinct session_id)",
    "events_per_user": "count(user_id)::double precision / nullif(count(distinct user_id), 0)",
    "sum": f"sum({NUMBER})",
    "mean": f"avg({NUMBER})",
}
PERIODS: dict[Granularity, str] = {
    "hour": "date_trunc('hour', occurred_at, 'UTC')",
    "day": "(occurred_at at time zone 'UTC')::date",
    "week": "date_trunc('week', occurred_at at time zone 'UTC')::date",
    "month": "date_trunc('month', occurred_at at time zone 'UTC')::date",
}


def as_sql(question: Question) -> tuple[str, Params]:
    """A statement whose rows are those of `explore.answer`, in the same order, and its values by name."""
    params: Params = {}
    selected = _selected(question, params)
    conditions = _conditions(question, params)
    where = "\n    where " + "\n      and ".join(conditions) if conditions else ""
    keys = [PERIOD] if question.granularity else []
    keys += [_quoted(name) for name in question.names]
    grouped = f"\ngroup by {', '.join(keys)}\norder by {_order(question)}" if keys else ""
    columns = ",\n    ".join([*keys, f"{MEASURED[question.measure]} as {question.measure}"])
    statement = (
        f"with events as (\n    select\n        {(',' + chr(10) + ' ' * 8).join(selected)}\n"
        f"    from analytics.fct_usage_events{where}\n)\nselect\n    {columns}\nfrom events{grouped}"
    )
    return statement, params


def single_events_sql(question: Question, *, most: int) -> tuple[str, Params]:
    """A statement whose rows are those of `explore.single_events`, and its values by name."""
    params: Params = {}
    conditions = _conditions(question, params)
    where = "\nwhere " + "\n  and ".join(conditions) if conditions else ""
    statement = (
        "select event_id, event_type, occurred_at, user_id, session_id, properties\n"
        f"from analytics.fct_usage_events{where}\norder by occurred_at desc, event_id\nlimit {int(most)}"
    )
    return statement, params


def as_python(statement: str, params: Params) -> str:
    """Python code that asks the statement: it reads `wb`, a Workbench, and leaves the rows in `answer`."""
    lines = statement.replace("\n", "\n    ")
    values = [f"        {name!r}: {literal(value)}," for name, value in params.items()]
    given = ["    {", *values, "    },"] if values else []
    needed = ["from datetime import UTC, datetime", ""] if any("datetime(" in value for value in values) else []
    return "\n".join([*needed, "answer = wb.sql(", f'    """\n    {lines}\n    """,', *given, ")", ""])


def _selected(question: Question, params: Params) -> list[str]:
    selected = [f"{PERIODS[question.granularity]} as {PERIOD}"] if question.granularity else []
    selected += ["user_id", "session_id"]
    for dimension, name in zip(question.dimensions, question.names, strict=True):
        text = _text(dimension, params)
        if text not in selected:
            selected.append(text if text == name else f"{text} as {_quoted(name)}")
    if question.number:
        selected.append(f"{_number(question.number, params)} as {NUMBER}")
    return selected


def _conditions(question: Question, params: Params) -> list[str]:
    conditions = []
    if question.since is not None:
        params["since"] = question.since
        conditions.append("occurred_at >= $since")
    if question.until is not None:
        params["until"] = question.until
        conditions.append("occurred_at < $until")
    return conditions + [_condition(one, params) for one in question.filters]


def _condition(one: Filter, params: Params) -> str:
    value = one.value
    if isinstance(value, tuple):
        return _is(_text(one.field, params), value, params, negated=one.operator == "is_not")
    if isinstance(value, str):
        return f"strpos({_text(one.field, params)}, {_bound('value', value, params)}::text) > 0"
    compared = "<" if one.operator in ("before", "below") else ">="
    if isinstance(value, float | int):
        bound = f"{_bound('value', float(value), params)}::double precision"
        return f"{_number(one.field, params)} {compared} {bound}"
    return f"{one.field.name} {compared} {_bound('value', value, params)}"


def _is(text: str, values: tuple[str | None, ...], params: Params, *, negated: bool) -> str:
    bound = [_bound("value", value, params) + "::text" for value in values if value is not None]
    among = f"{text} in ({', '.join(bound)})"
    if negated:
        none = f"{text} is not null"
        kept = f"{text} not in ({', '.join(bound)})"
        if not bound:
            return none
        return f"{kept}" if None in values else f"({kept} or {text} is null)"
    if not bound:
        return f"{text} is null"
    return f"({among} or {text} is null)" if None in values else among


def _text(field: Field, params: Params) -> str:
    return field.name if field.of == "column" else f"properties ->> {_bound('property', field.name, params)}::text"


def _number(field: Field, params: Params) -> str:
    if field.of == "column":
        return field.name
    key = f"{_bound('property', field.name, params)}::text"
    # A CASE, since a condition beside the cast may be judged after it.
    return f"case when jsonb_typeof(properties -> {key}) = 'number' then (properties ->> {key})::double precision end"


def _bound(kind: str, value: object, params: Params) -> str:
    """The place of a value; one that is there already is used again."""
    for name, known in params.items():
        if name.startswith(kind) and type(known) is type(value) and known == value:
            return f"${name}"
    name = f"{kind}_{1 + sum(name.startswith(f'{kind}_') for name in params)}"
    params[name] = value
    return f"${name}"


def _order(question: Question) -> str:
    first = PERIOD if question.granularity else f"{question.measure} desc nulls last"
    # The order of code points, whatever the database's language.
    return ", ".join([first, *(f'{_quoted(name)} collate "C"' for name in question.names)])


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else f'"{name}"'
