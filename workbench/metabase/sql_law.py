"""What a card's SQL may do: one query; for customers, over functions of `metrics` that are given the tenant alone.

The database enforces it: the role of embedded dashboards reaches nothing else. This says so before anything is
written, and where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlglot
from sqlglot import exp

from workbench.metabase.template import Template

TENANT = "tenant"
"""The tag that takes the signed tenant token."""
SCHEMA = "metrics"

FUNCTIONS: tuple[type[exp.Expression], ...] = (
    *(exp.Abs, exp.Avg, exp.Ceil, exp.Coalesce, exp.Concat, exp.ConcatWs, exp.Count, exp.Extract, exp.Floor),
    *(exp.FirstValue, exp.Greatest, exp.Lag, exp.LastValue, exp.Lead, exp.Least, exp.Length, exp.Lower, exp.Max),
    *(exp.Min, exp.Nullif, exp.PercentileCont, exp.PercentileDisc, exp.Rank, exp.Round, exp.RowNumber, exp.Sum),
    *(exp.TimestampTrunc, exp.TimeToStr, exp.ToChar, exp.Trim, exp.Upper, exp.CurrentDate, exp.CurrentTimestamp),
    *(exp.And, exp.Case, exp.Cast, exp.If, exp.Or),
)
"""What a customer's card may compute with."""


def problems(template: Template, *, for_customers: bool, metrics: Collection[str]) -> Iterator[str]:
    """What is wrong with a card's SQL, with every optional part and with none."""
    found: dict[str, None] = {}
    for given in (set(template.tags), set(template.required)):
        sql = template.render(given, lambda tag: f"'{{{{{tag}}}}}'")
        found |= dict.fromkeys(_problems(sql, for_customers=for_customers, metrics=metrics))
    yield from found


def _problems(sql: str, *, for_customers: bool, metrics: Collection[str]) -> Iterator[str]:
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="postgres") if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        yield f"is no SQL that is understood ({reason})"
        return
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        yield "is more or other than one SELECT"
        return
    query = statements[0]
    if any(query.find_all(exp.Into, exp.Lock, exp.DML, exp.Command)):
        yield "does more than read"
    if for_customers:
        yield from _beyond_metrics(query, metrics)


def _beyond_metrics(query: exp.Expression, metrics: Collection[str]) -> Iterator[str]:
    """Whatever a customer's card reads or calls that it may not."""
    named = {cte.alias for cte in query.find_all(exp.CTE)}
    sources: list[exp.Expression] = []
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and table.db == SCHEMA and not table.catalog:
            sources.append(table.this)
            yield from _of_metric(table.this, metrics)
        elif table.db or table.name not in named:
            yield f"reads {_shown(table)}, but customers' cards read functions of {SCHEMA} alone"
    if any(_is_tenant(literal) and literal.parent not in sources for literal in query.find_all(exp.Literal)):
        yield f"uses {{{{{TENANT}}}}} beside the first argument: the token itself is nobody's to see"
    if not sources:
        yield f"asks no function of {SCHEMA}"
    for function in query.find_all(exp.Func):
        if function not in sources and not isinstance(function, FUNCTIONS):
            yield f"calls {_shown(function)}, which customers' cards may not"


def _of_metric(function: exp.Expression, metrics: Collection[str]) -> Iterator[str]:
    name = function.name
    if name not in metrics:
        yield f"asks {SCHEMA}.{name}, which there is not"
    arguments = function.expressions
    if not arguments or not _is_tenant(arguments[0]) or any(map(_is_tenant, arguments[1:])):
        yield f"does not give {{{{{TENANT}}}}} to {SCHEMA}.{name} as its first argument"


def _is_tenant(argument: exp.Expression) -> bool:
    return isinstance(argument, exp.Literal) and argument.is_string and argument.this == f"{{{{{TENANT}}}}}"


def _shown(part: exp.Expression) -> str:
    return str(part.sql(dialect="postgres", normalize_functions=False))
