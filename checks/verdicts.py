"""From what the gate saw and found to a verdict per tenant: pure, and closed wherever it is in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from checks.census import Seen
from checks.failing import FailingRows
from checks.rules import Rule, Severity
from pipeline.core.verdicts import Finding, Report, VerdictState

GATE = "gate"
"""The boundary of findings that are about the judgement itself, not about rows."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A rule that failed, with its failing rows by tenant; None is for rows without one."""

    boundary: str
    rule: Rule
    rows: Mapping[str | None, FailingRows]


@dataclass(frozen=True, kw_only=True)
class Error:
    """A question that got no answer, which concerns every tenant."""

    boundary: str
    rule: str
    severity: Severity = "stop"
    reason: str


def decide(
    tenants: Mapping[str, int], *, seen: Mapping[str, Seen], failures: Sequence[Failure], errors: Sequence[Error]
) -> Report:
    """A verdict for each of `tenants` (to its raw rows), with the findings behind it.

    One error makes every tenant errored. So do failing rows of a stop rule that belong to none of the
    tenants: whatever that candidate is, it is not this promotion's. What a rule is for a tenant, its
    severities say; where it is off there is no finding.
    """
    failed = list(_findings(tenants, failures))
    if errors := [*errors, *_strays(tenants, failures)]:
        errored = [_errored(tenant, errors) for tenant in tenants]
        return Report(verdicts=dict.fromkeys(tenants, VerdictState.ERRORED), findings=_one_per_rule(failed, errored))
    held = {finding.tenant_id for finding in failed if finding.severity == "stop"}
    verdicts = {tenant: _state(rows, seen.get(tenant), tenant in held) for tenant, rows in tenants.items()}
    unseen = [_unseen(tenant) for tenant, state in verdicts.items() if state is VerdictState.UNSEEN]
    return Report(verdicts=verdicts, findings=_one_per_rule(failed, unseen))


def _state(raw_rows: int, seen: Seen | None, failed: bool) -> VerdictState:
    if seen is None or seen.raw_rows != raw_rows:
        return VerdictState.UNSEEN
    if seen.fact_rows == 0:
        return VerdictState.EMPTY
    return VerdictState.FAILED if failed else VerdictState.PASSED


def _findings(tenants: Mapping[str, int], failures: Iterable[Failure]) -> Iterator[Finding]:
    for failure in failures:
        for tenant, rows in failure.rows.items():
            severity = failure.rule.severity_for(tenant)
            if tenant is not None and severity and (tenant in tenants or failure.rule.tells_of_others):
                yield _failed(tenant, failure, rows, severity)


def _strays(tenants: Mapping[str, int], failures: Iterable[Failure]) -> Iterable[Error]:
    for failure in failures:
        strays = {
            tenant: rows
            for tenant, rows in failure.rows.items()
            if (tenant is None or tenant not in tenants) and failure.rule.severity_for(tenant) == "stop"
        }
        if strays:
            owners = ", ".join(sorted("no tenant" if tenant is None else tenant for tenant in strays)[:3])
            count = sum(rows.count for rows in strays.values())
            reason = f"{_rows(count)} of {owners}, which this promotion does not take up"
            yield Error(boundary=failure.boundary, rule=failure.rule.name, reason=reason)


def _failed(tenant: str, failure: Failure, rows: FailingRows, severity: Severity) -> Finding:
    return Finding(
        tenant_id=tenant,
        boundary=failure.boundary,
        rule=failure.rule.name,
        severity=severity,
        outcome="failed",
        failing_rows=rows.count,
        detail=f"{_rows(rows.count)}. {failure.rule.why}",
        samples=rows.samples,
    )


def _errored(tenant: str, errors: Sequence[Error]) -> Finding:
    """One finding for all errors: with thousands of tenants, one for each would bury the reason."""
    first, others = errors[0], sorted({error.rule for error in errors[1:]} - {errors[0].rule})
    also = f" Neither could {', '.join(others)}." if others else ""
    return Finding(
        tenant_id=tenant,
        boundary=first.boundary,
        rule=first.rule,
        severity=first.severity,
        outcome="errored",
        failing_rows=0,
        detail=f"It could not be judged: {first.reason.rstrip('.')}. Nothing is known, so nothing is promoted.{also}",
    )


def _unseen(tenant: str) -> Finding:
    return Finding(
        tenant_id=tenant,
        boundary=GATE,
        rule="every_tenant_is_seen",
        severity="stop",
        outcome="errored",
        failing_rows=0,
        detail="The ledger has no window of this tenant in the promotion, or not with the rows that were asked about.",
    )


def _one_per_rule(*findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What is on record is one finding per tenant and rule; the later ones win."""
    return tuple({(f.tenant_id, f.boundary, f.rule): f for part in findings for f in part}.values())


def _rows(count: int) -> str:
    return f"{count:,} failing row{'' if count == 1 else 's'}"
