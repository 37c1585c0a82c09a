"""The gate of the promotion: rules of Great Expectations over the candidate, a verdict per tenant.

Rules are compiled, so that each table is read once (`checks.one_pass`); Great Expectations itself
evaluates what cannot be. It fails closed: whatever goes wrong while judging, the answer is a report
in which nobody passed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from checks import validation
from checks.census import FACTS, Seen, require_whole, take_census
from checks.judgement import Judgement
from checks.leaks import leaks_as_check
from checks.one_pass.examination import Examination, Examined
from checks.patterns import complete
from checks.rules import Rule, Suite, Table
from checks.suites import SUITES
from checks.verdicts import GATE, Error, Failure, decide
from pipeline.core.verdicts import Check, Report

if TYPE_CHECKING:
    # It imports Great Expectations.
    from checks.one_pass.compiled import Compiled

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1800.0

SESSIONS = 2

CHANGED = Error(boundary=GATE, rule="candidate_is_at_rest", reason="the candidate changed while it was judged")

# What of a rule no verdict depends on, or is compiled.
NO_PART_OF_THE_RULE = {"why", "expectation"}


class ExpectationsGate:
    """Judges candidates as the role in `url` (the publisher); implements `pipeline.core.verdicts.Gate`.

    A judgement that takes longer than `timeout_seconds`, in one statement or in all, is errored. The
    first judgement of a process takes seconds more, for the import of Great Expectations.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        suites: Sequence[Suite] = SUITES,
        probe: Callable[[], Sequence[Error]] | None = None,
    ) -> None:
        """`probe` looks for what readers could see and should not (`checks.leaks`); an error holds everybody."""
        self._url = url
        self._probe = probe
        self._timeout_seconds = timeout_seconds
        self._suites = tuple(suites)
        self._context: Any = None
        self._compiled_with: dict[tuple[str, ...], Compiled] = {}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rules as they are compiled: SQL, thresholds and severities, not their wording."""
        settings = [(suite.boundary, suite.table, _settings(rule)) for suite in self._suites for rule in suite.rules]
        return hashlib.sha256(repr((settings, self._compile(()).basis)).encode()).hexdigest()

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """A verdict for each tenant of a promotion in the ledger, whose candidate is built and at rest."""
        try:
            compiled = self._compile(models)
            deadline = monotonic() + self._timeout_seconds
            return self._judge(
                compiled, Judgement(url=self._url, promotion_id=promotion_id, deadline=deadline), tenants
            )
        except Exception as error:
            # Whatever it is, it must hold everybody, and it must not end the loop that promotes.
            logger.info("promotion %s could not be judged", promotion_id, exc_info=True)
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            unable = Error(boundary=GATE, rule="judgement_completes", reason=reason)
            return decide(tenants, seen={}, failures=(), errors=(unable,))

    def _compile(self, models: Sequence[str]) -> Compiled:
        """The suites, and what can be said of models that have none, compiled once."""
        others = _suites_for_others([FACTS, *models], self._suites)
        names = tuple(suite.table.name for suite in others)
        if names not in self._compiled_with:
            validation.import_quietly()
            from checks.one_pass.compiled import compile_suites

            self._compiled_with[names] = compile_suites([*self._suites, *others])
        return self._compiled_with[names]

    def _judge(self, compiled: Compiled, judgement: Judgement, tenants: Mapping[str, int]) -> Report:
        seen: Mapping[str, Seen] = {}
        leaks: Sequence[Error] = ()
        moved: list[Error] = []
        with ExitStack() as stack:
            sessions = [stack.enter_context(judgement.session()) for _ in range(SESSIONS)]
            require_whole(sessions[0], [scan.suite.table.name for scan in compiled.scans])
            examination = Examination(sessions)
            examination.run(compiled)
            if compiled.native and not examination.is_over:
                self._leave_to_great_expectations(compiled.native, judgement, examination)
            if not examination.is_over:
                leaks = self._probe() if self._probe else ()
                seen = take_census(sessions[0], judgement.promotion_id)
                if any(found.fact_rows != examination.rows_of(tenant)[FACTS] for tenant, found in seen.items()):
                    moved = [CHANGED]
        results = sorted(
            examination.results, key=lambda result: compiled.position(result.suite.boundary, result.rule.name)
        )
        report = decide(
            tenants,
            seen=seen,
            failures=[_failure(result) for result in results if result.found and result.error is None],
            errors=[*(_error(result) for result in results if result.error is not None), *leaks, *moved],
        )
        checks = tuple(_check(result, examination.rows) for result in results)
        if self._probe and not examination.is_over:
            checks += (leaks_as_check(leaks),)
        rows = {tenant: examination.rows_of(tenant) for tenant in tenants}
        return msgspec.structs.replace(report, checks=checks, checked_rows=rows)

    def _leave_to_great_expectations(
        self, suites: Sequence[Suite], judgement: Judgement, examination: Examination
    ) -> None:
        if self._context is None:
            self._context = validation.new_context()
        with validation.opened(self._context, judgement) as source:
            for suite in suites:
                examination.take_in(suite, validation.validate(source, suite))


def _failure(result: Examined) -> Failure:
    return Failure(boundary=result.suite.boundary, rule=result.rule, rows=result.found)


def _error(result: Examined) -> Error:
    rule = result.rule
    return Error(boundary=result.suite.boundary, rule=rule.name, severity=rule.severity, reason=result.error or "")


def _check(result: Examined, rows: Mapping[str, Mapping[str | None, int]]) -> Check:
    table = result.suite.table.name
    found = {} if result.error is not None else result.found
    return Check(
        boundary=result.suite.boundary,
        rule=result.rule.name,
        table=table,
        severity=result.rule.severity,
        why=result.rule.why,
        outcome="errored" if result.error is not None else "failed" if found else "passed",
        checked_rows=sum(rows.get(table, {}).values()),
        failing_rows=sum(failing.count for failing in found.values()),
        failing_tenants=sum(tenant is not None for tenant in found),
    )


def _settings(rule: Rule) -> list[tuple[str, object]]:
    return [(item.name, getattr(rule, item.name)) for item in fields(rule) if item.name not in NO_PART_OF_THE_RULE]


def _suites_for_others(models: Sequence[str], suites: Sequence[Suite]) -> list[Suite]:
    """What can be said of a model that has no suite: its rows belong to somebody."""
    known = {suite.table.name for suite in suites}
    why = "A row without a tenant would be published for nobody, and counted by nobody."
    tables = [Table(name=model, key=("tenant_id",)) for model in dict.fromkeys(models) if model not in known]
    return [Suite(boundary="other_models", table=table, rules=(complete(table, why=why),)) for table in tables]
