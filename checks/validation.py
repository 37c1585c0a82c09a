"""Great Expectations at work: a suite goes in, an outcome per rule comes out. Its types stay in here.

It is asked for booleans and for the query of failing rows: its lists of failing rows end after 20
or 200, so they cannot tell which tenants fail.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from checks.judgement import APPLICATION, Judgement
from checks.rules import Rule, Suite
from pipeline.core.database import sqlalchemy_url

DATA_SOURCE = "candidate"
SEVERITIES = {"stop": "critical", "warn": "warning"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a rule ended: it passed, or failed and `failing` asks for its rows, or was not evaluated for `error`."""

    rule: Rule
    failing: str | None = None
    error: str | None = None


def new_context() -> Any:
    """An ephemeral, quiet context. Importing Great Expectations takes seconds, once in a process."""
    gx = import_quietly()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


@contextmanager
def opened(context: Any, judgement: Judgement) -> Iterator[Any]:
    """A data source for one judgement, whose connections are closed after it."""
    options = " ".join(f"-c {name}={value}" for name, value in judgement.settings().items())
    source = context.data_sources.add_or_update_postgres(
        name=DATA_SOURCE,
        connection_string=sqlalchemy_url(judgement.url, "psycopg2"),
        create_temp_table=False,
        kwargs={"connect_args": {"options": options, "application_name": APPLICATION}},
    )
    engine = source.get_execution_engine()
    _keep_to_deadline(engine.engine, judgement)
    try:
        yield source
    finally:
        engine.close()
        source.get_engine().dispose()


def validate(source: Any, suite: Suite) -> list[Outcome]:
    """Evaluate a suite on its candidate table. Raises whatever keeps the table from being read at all."""
    import great_expectations as gx

    expectations = gx.ExpectationSuite(name=f"{suite.boundary}.{suite.table.name}")
    for rule in suite.rules:
        expectations.add_expectation(_expectation(rule))
    batch = source.add_table_asset(suite.table.name).add_batch_definition_whole_table("all").get_batch()
    result = batch.validate(
        expectations,
        result_format={
            "result_format": "BOOLEAN_ONLY",
            "unexpected_index_column_names": list(suite.table.key),
            "return_unexpected_index_query": True,
        },
    )
    found = {item.expectation_config.meta["rule"]: item for item in result.results}
    return [_outcome(rule, suite, found.get(rule.name)) for rule in suite.rules]


def _expectation(rule: Rule) -> Any:
    from checks import expectations

    expectation = rule.expectation(expectations)
    expectation.meta = {"rule": rule.name}
    expectation.notes = rule.why
    expectation.severity = SEVERITIES[rule.severity]
    return expectation


def _outcome(rule: Rule, suite: Suite, result: Any | None) -> Outcome:
    if result is None:
        return Outcome(rule=rule, error="Great Expectations gave no result for it")
    if error := _raised(result.exception_info):
        return Outcome(rule=rule, error=error)
    if result.success is True:
        return Outcome(rule=rule)
    query = result.result.get("unexpected_index_query") or result.expectation_config.kwargs["unexpected_rows_query"]
    return Outcome(rule=rule, failing=query.rstrip("; \n").replace("{batch}", suite.table.name))


def _raised(exception_info: Any) -> str | None:
    """The first exception of a result: its report is one, or one for each metric that was needed."""
    reports = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    for report in reports:
        if report["raised_exception"]:
            return str(report["exception_message"]).split("\n", 1)[0]
    return None


def _keep_to_deadline(engine: Any, judgement: Judgement) -> None:
    """Refuse statements after the deadline: Great Expectations repeats those that fail."""
    from sqlalchemy import event

    @event.listens_for(engine, "before_cursor_execute")
    def check(*_: object) -> None:
        judgement.seconds_left()


def import_quietly() -> Any:
    """The package, kept from what it does to a process: hundreds of log lines, and every warning made one."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
    logging.captureWarnings(False)
    # This one sets its own level.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return gx
