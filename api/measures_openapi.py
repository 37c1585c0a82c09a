"""The endpoints of the metrics as OpenAPI tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.question import MOST_ROWS, MOST_YEARS, ROWS
from pipeline.core.metrics.catalog import Metric

Schema = dict[str, Any]

MEASURE_EXAMPLE: Schema = {
    "metric": "active_users",
    "from": "2026-03-02",
    "to": "2026-03-04",
    "granularity": "day",
    "dimension": "none",
    "promotion_id": 412,
    "as_of": "2026-03-04T06:00:00Z",
    "held": False,
    "rows": [
        {"period_start": "2026-03-02", "active_users": 118, "events": 5204},
        {"period_start": "2026-03-03", "active_users": 131, "events": 6127},
    ],
    "next_cursor": None,
}
DESCRIPTION = """\
Answers figures of the key's tenant: the same as its dashboards and notebooks show, all of one moment.

`promotion_id` and `as_of` say of which state they are; with `held` true newer data is held back by the checks, and
these are the last good figures. Figures are of whole periods, the one that `from` lies in included; a period in which
nothing happened has no row. The ETag changes when the figures can have: send it as If-None-Match.
"""
ERRORS = {
    400: "invalid_parameter: `details.parameter` names it, `details.allowed` what it may be",
    401: "unauthorized: no valid API key, or not exactly one; the same answer for every cause",
    403: "missing_scope or tenant_suspended",
    404: "unknown_metric: `details.metrics` names those that there are",
    409: "figures_changed: newer figures were published since the first page; begin again without cursor",
    429: "too_many_requests of this tenant at the same time; retry after Retry-After seconds",
    503: "overloaded or unavailable; retry after Retry-After seconds",
    504: "took_too_long: ask for a shorter time",
}


def catalogue_operation() -> Schema:
    """What `add_api_route` takes to document GET /v1/metrics."""
    return {
        "summary": "List the metrics",
        "description": "All metrics with their columns, granularities and dimensions; the first of each is the usual.",
        "responses": {200: _response("The catalogue", "Catalogue")}
        | {status: _response(ERRORS[status], "Error") for status in (401, 403, 503)},
        "openapi_extra": {"security": [{"key": []}]},
    }


def measure_operation(metrics: Sequence[Metric]) -> Schema:
    """What `add_api_route` takes to document GET /v1/metrics/{name}."""
    answers = {
        200: _response("The figures", "Measure", example=MEASURE_EXAMPLE),
        304: {"description": "What If-None-Match names is still the answer"},
    }
    return {
        "summary": "Read a metric",
        "description": DESCRIPTION,
        "responses": answers | {status: _response(text, "Error") for status, text in ERRORS.items()},
        "openapi_extra": {"security": [{"key": []}], "parameters": _parameters(metrics)},
    }


def _parameters(metrics: Sequence[Metric]) -> list[Schema]:
    names = [metric.name for metric in metrics]
    granularities = sorted({name for metric in metrics for name in metric.granularities})
    dimensions = sorted({name for metric in metrics for name in metric.dimensions})
    day = {"type": "string", "format": "date"}
    return [
        {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": names}},
        _query("from", f"The first day, in UTC; at most {MOST_YEARS} years before `to`.", day),
        _query("to", "The first day after the range; the day after `as_of` if left out.", day),
        _query("granularity", "Whole periods of this length.", {"type": "string", "enum": granularities}),
        _query("dimension", "What the figures are told apart by.", {"type": "string", "enum": dimensions}),
        _query("limit", "Rows of a page.", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": ROWS}),
        _query("cursor", "`next_cursor` of the page before, with the same parameters.", {"type": "string"}),
        {"name": "If-None-Match", "in": "header", "description": "An ETag.", "schema": {"type": "string"}},
    ]


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _response(description: str, schema: str, example: Schema | None = None) -> Schema:
    content: Schema = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}
