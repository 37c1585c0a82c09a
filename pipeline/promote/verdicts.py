"""From the gate's answer to what is promoted: pure, and closed where the gate says nothing."""

from __future__ import annotations

from msgspec.structs import replace

from pipeline.core.verdicts import Report, VerdictState
from pipeline.promote.promotion import Plan, Release

PROMOTES = frozenset({VerdictState.PASSED, VerdictState.RELEASED})


def settle(plan: Plan, report: Report, release: Release | None) -> Report:
    """The report with a verdict for each tenant of the plan and no other, a steward's release applied.

    A release permits the rules that held what it releases. One that fails beside them holds it again.
    """
    verdicts = {w.tenant_id: report.verdicts.get(w.tenant_id, VerdictState.UNSEEN) for w in plan.windows}
    if release is not None and verdicts.get(release.tenant_id) is VerdictState.FAILED:
        failing = {
            (finding.boundary, finding.rule)
            for finding in report.findings
            if finding.tenant_id == release.tenant_id and finding.severity == "stop"
        }
        if failing and failing <= release.permitted:
            verdicts[release.tenant_id] = VerdictState.RELEASED
    # No gate may release: that takes a person.
    unasked = {t for t, state in report.verdicts.items() if state is VerdictState.RELEASED} & set(verdicts)
    verdicts |= dict.fromkeys(unasked, VerdictState.UNSEEN)
    return replace(report, verdicts=verdicts)
