"""The gate of the promotion: Great Expectations over the candidate, a verdict per tenant.

It fails closed: whatever goes wrong while judging, the answer is a report in which nobody passed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import psycopg

from checks import validation
from checks.census import require_whole, take_census
from checks.failing import failing_rows
from checks.judgement import Judgement
from checks.patterns import complete
from checks.rules import Suite, Table
from checks.suites import SUITES
from checks.verdicts import GATE, Error, Failure, decide
from pipeline.core.verdicts import Report

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1800.0


class ExpectationsGate:
    """Judges candidates as the role in `url` (the publisher); implements `pipeline.core.verdicts.Gate`.

    A judgement that takes longer than `timeout_seconds`, in one statement or in all, is errored. The
    first judgement of a process takes seconds more, for the import of Great Expectations.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, suites: Sequence[Suite] = SUITES) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._suites = tuple(suites)
        self._context: Any = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rules, as far as they can be told apart by name, severity and reason."""
        rules = [
            (suite.boundary, suite.table, rule.name, rule.severity, rule.why)
            for suite in self._suites
            for rule in suite.rules
        ]
        return hashlib.sha256(repr(rules).encode()).hexdigest()

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """A verdict for each tenant of a promotion in the ledger, whose candidate is built and at rest."""
        try:
            context = self._ready_context()
            deadline = monotonic() + self._timeout_seconds
            judgement = Judgement(url=self._url, promotion_id=promotion_id, deadline=deadline)
            return self._judge(context, judgement, tenants, [*self._suites, *_suites_for_others(models, self._suites)])
        except Exception as error:
            # Whatever it is, it must hold everybody, and it must not end the loop that promotes.
            logger.info("promotion %s could not be judged", promotion_id, exc_info=True)
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            unable = Error(boundary=GATE, rule="judgement_completes", reason=reason)
            return decide(tenants, seen={}, failures=(), errors=(unable,))

    def _ready_context(self) -> Any:
        if self._context is None:
            self._context = validation.new_context()
        return self._context

    def _judge(self, context: Any, judgement: Judgement, tenants: Mapping[str, int], suites: Sequence[Suite]) -> Report:
        failures: list[Failure] = []
        errors: list[Error] = []
        with judgement.connect() as connection:
            require_whole(connection, [suite.table.name for suite in suites])
            seen = take_census(connection, judgement.promotion_id)
            with validation.opened(context, judgement) as source:
                for suite in suites:
                    _examine(source, connection, suite, failures, errors)
                    if errors:
                        # Everybody is errored; what follows would only take time.
                        break
            if take_census(connection, judgement.promotion_id) != seen:
                reason = "the candidate changed while it was judged"
                errors.append(Error(boundary=GATE, rule="candidate_is_at_rest", reason=reason))
        return decide(tenants, seen=seen, failures=failures, errors=errors)


def _examine(
    source: Any, connection: psycopg.Connection, suite: Suite, failures: list[Failure], errors: list[Error]
) -> None:
    """Validate one suite and ask for the rows of what failed."""
    for outcome in validation.validate(source, suite):
        rule = outcome.rule
        if outcome.error is not None:
            errors.append(Error(boundary=suite.boundary, rule=rule.name, severity=rule.severity, reason=outcome.error))
        elif outcome.failing is not None:
            rows = failing_rows(connection, outcome.failing)
            if rows:
                failures.append(Failure(boundary=suite.boundary, rule=rule, rows=rows))
            else:
                reason = "it failed, but its failing rows could not be found"
                errors.append(Error(boundary=suite.boundary, rule=rule.name, reason=reason))


def _suites_for_others(models: Sequence[str], suites: Sequence[Suite]) -> list[Suite]:
    """What can be said of a model that has no suite: its rows belong to somebody."""
    known = {suite.table.name for suite in suites}
    why = "A row without a tenant would be published for nobody, and counted by nobody."
    tables = [Table(name=model, key=("tenant_id",)) for model in models if model not in known]
    return [Suite(boundary="other_models", table=table, rules=(complete(table, why=why),)) for table in tables]
