"""Great Expectations' own Data Docs of a promotion, from what it left on record: nothing is evaluated again.

A suite is the rules of a boundary on one table, and its validation result is over all tenants. Samples,
which are of tenants, are in the report and not here. Its types stay in this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from checks.validation import SEVERITIES, import_quietly
from pipeline.core.errors import PromotionError
from workbench.quality.report import Check, Promotion, QualityReport

SITE = "local_site"

# Any query of the kind would do: it is shown nowhere, and the sentence that stands instead is the rule's.
QUERY = "select * from {{batch}} where not {rule}"
NOT_RAISED = {"raised_exception": False, "exception_message": None, "exception_traceback": None}
RAISED = {
    "raised_exception": True,
    "exception_message": "It could not be evaluated; the quality report has the reason.",
    "exception_traceback": "",
}


def write_data_docs(report: QualityReport, folder: Path) -> Path:
    """Write a Great Expectations project with its Data Docs into `folder`; answers their first page.

    A project that is there gets this promotion beside those it has. Raises PromotionError where no
    rules are on record of the promotion, and OSError.
    """
    if not report.checks:
        raise PromotionError(
            f"No rules are on record of promotion {report.promotion.promotion_id}, so there are no Data Docs of it.",
            remedy="Promotions of this release keep them: `workbench quality report` without --promotion.",
        )
    gx = import_quietly()
    # It prints bars of progress.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        context = gx.get_context(mode="file", project_root_dir=str(folder))
        context.variables.progress_bars = {"globally": False}
        for name, checks in suites(report.checks).items():
            _add(context, gx, name, checks, report.promotion)
        addresses = context.build_data_docs(site_names=[SITE])
    return Path(addresses[SITE].removeprefix("file://"))


def suites(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """The rules by the name of their suite: boundary and table."""
    ordered = sorted(checks, key=lambda check: (check.boundary, check.table_name, check.rule))
    return {
        f"{boundary}.{table}": list(group)
        for (boundary, table), group in groupby(ordered, key=lambda check: (check.boundary, check.table_name))
    }


def _add(context: Any, gx: Any, name: str, checks: Sequence[Check], promotion: Promotion) -> None:
    """A suite, and how the promotion validated it."""
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    configurations = [_configuration(check) for check in checks]
    suite = gx.ExpectationSuite(name=name, expectations=[each.to_domain_obj() for each in configurations])
    context.suites.add_or_update(suite)
    run = _run(promotion)
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(name),
        run_id=run,
        batch_identifier=f"{checks[0].table_name}-{promotion.promotion_id}",
    )
    context.validation_results_store.set(key, _result(gx, name, checks, configurations, run))


def _configuration(check: Check) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    return ExpectationConfiguration(
        type="unexpected_rows_expectation",
        kwargs={"unexpected_rows_query": QUERY.format(rule=check.rule)},
        description=f"{check.rule}: {check.why}",
        meta={"rule": check.rule, "boundary": check.boundary},
        severity=SEVERITIES[check.severity],
    )


def _result(gx: Any, name: str, checks: Sequence[Check], configurations: Sequence[Any], run: Any) -> Any:
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )

    results = [
        ExpectationValidationResult(
            success=check.outcome == "passed",
            expectation_config=configuration,
            result={} if check.outcome == "errored" else _counts(check),
            meta={},
            exception_info=RAISED if check.outcome == "errored" else NOT_RAISED,
        )
        for check, configuration in zip(checks, configurations, strict=True)
    ]
    passed = sum(check.outcome == "passed" for check in checks)
    return ExpectationSuiteValidationResult(
        success=passed == len(checks),
        results=results,
        suite_name=name,
        statistics={
            "evaluated_expectations": len(checks),
            "successful_expectations": passed,
            "unsuccessful_expectations": len(checks) - passed,
            "success_percent": 100 * passed / len(checks),
        },
        meta={
            "run_id": run,
            "great_expectations_version": gx.__version__,
            "active_batch_definition": {"data_asset_name": checks[0].table_name, "batch_identifiers": {}},
        },
    )


def _counts(check: Check) -> dict[str, object]:
    percent = 100 * check.failing_rows / check.checked_rows if check.checked_rows else 0.0
    return {
        "observed_value": f"{check.failing_rows:,} of {check.checked_rows:,} rows",
        "element_count": check.checked_rows,
        "unexpected_count": check.failing_rows,
        "unexpected_percent": percent,
        "unexpected_percent_nonmissing": percent,
        "missing_count": 0,
        "partial_unexpected_list": [],
    }


def _run(promotion: Promotion) -> Any:
    from great_expectations.core.run_identifier import RunIdentifier

    return RunIdentifier(run_name=f"promotion-{promotion.promotion_id}", run_time=promotion.started_at)
