"""Metrics as functions of the database: what each looks like, to the letter.

A function runs with the rights of the reader, which is itself under the forced row security of the marts: the
tenant token that it is given decides what there is to see, for as long as the call takes. Whatever its caller has
set in the session - a token, a time zone, a search path - it does not look at.
"""

from __future__ import annotations

import msgspec

from pipeline.core.metrics.catalog import Column, Metric

SCHEMA = "metrics"
SETTINGS = ("search_path=analytics, pg_temp", "TimeZone=UTC")
"""As the catalog keeps them."""
RETURN_TYPES = {"timestamptz": "timestamp with time zone"}
"""What PostgreSQL calls a column's type, where it is not the same."""
TOKEN_ARGUMENT = "tenant_token text"
ARGUMENTS = (
    f"{TOKEN_ARGUMENT}, from_day date, to_day date, "
    "granularity text DEFAULT NULL::text, dimension text DEFAULT NULL::text"
)

# A setting that a function sets for itself ends with it only if the function declares it, which takes a superuser for
# a setting of ours. So the token is taken back by hand; where the query fails, the transaction takes it back.
BODY = """
#variable_conflict use_column
{declarations}begin
    perform set_config('workbench.tenant_token', coalesce(tenant_token, ''), true);
    perform control.require_bearer();
{preparation}    return query
{select};
    perform set_config('workbench.tenant_token', '', true);
end
"""
DECLARATIONS = """\
declare
    range_start date;
    range_end date;
"""
PREPARATION = """\
    granularity := coalesce(nullif(granularity, ''), {granularity});
    dimension := coalesce(nullif(dimension, ''), {dimension});
    perform control.require_metric_arguments(
        from_day, to_day, granularity, {granularities}, dimension, {dimensions}
    );
    if granularity = 'total' then
        range_start := from_day;
        range_end := to_day;
    else
        range_start := date_trunc(granularity, from_day::timestamp);
        range_end := date_trunc(granularity, (to_day - 1)::timestamp) + ('1 ' || granularity)::interval;
    end if;
"""
FRESHNESS_COLUMNS = (
    Column(name="promotion_id", type="bigint", description="The promotion that last published the tenant's data."),
    Column(name="as_of", type="timestamptz", description="What was landed before is published."),
    Column(name="held", type="boolean", description="Newer data is held back by the checks."),
    Column(name="held_since", type="timestamptz", description="Since when newer data is held back."),
)
FRESHNESS_SELECT = "select f.promotion_id, f.as_of, f.held, f.held_since from freshness as f"


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the schema `metrics`; arguments and result as PostgreSQL prints them."""

    name: str
    arguments: str
    result: str
    body: str
    comment: str


def function_of(metric: Metric) -> Function:
    """The function that answers a metric."""
    preparation = PREPARATION.format(
        granularity=_text(metric.granularities[0]),
        dimension=_text(metric.dimensions[0]),
        granularities=_array(metric.granularities),
        dimensions=_array(metric.dimensions),
    )
    return Function(
        name=metric.name,
        arguments=ARGUMENTS,
        result=_table(metric.columns),
        body=BODY.format(declarations=DECLARATIONS, preparation=preparation, select=metric.select),
        comment=metric.described.description,
    )


def freshness_function() -> Function:
    """The function that answers up to when a tenant's data is published; no row before it was first checked."""
    return Function(
        name="freshness",
        arguments=TOKEN_ARGUMENT,
        result=_table(FRESHNESS_COLUMNS),
        body=BODY.format(declarations="", preparation="", select=FRESHNESS_SELECT),
        comment="Up to when the tenant's data is published, and whether newer data is held back.",
    )


def _table(columns: tuple[Column, ...]) -> str:
    typed = ", ".join(f"{column.name} {RETURN_TYPES.get(column.type, column.type)}" for column in columns)
    return f"TABLE({typed})"


def _text(name: str) -> str:
    # Names of the catalogue are identifiers: there is nothing to escape.
    return f"'{name}'"


def _array(names: tuple[str, ...]) -> str:
    return f"array[{', '.join(map(_text, names))}]"
