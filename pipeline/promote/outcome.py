"""What is told of a promotion, from its plan and the gate's report: pure, so that it does not matter when they passed.

They may have come about just now, or be recalled from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.verdicts import Finding, Report, VerdictState
from pipeline.promote.promotion import Hold, Plan, Promotion, PromotionState, Underway
from pipeline.promote.verdicts import PROMOTES


def could_not_judge(report: Report) -> bool:
    """Whether a question got no answer: the gate knows nothing, and nobody passes."""
    return VerdictState.ERRORED in report.verdicts.values()


def rested(underway: Underway) -> Promotion:
    """A promotion that is built or judged, and waits for its next step."""
    plan, report = underway.plan, underway.report
    return Promotion(
        id=plan.promotion_id,
        state=PromotionState.BUILT if report is None else PromotionState.JUDGED,
        as_of=plan.as_of,
        taken_up=_rows(plan),
        held={} if report is None else _held(plan, report),
        waiting=plan.waiting,
    )


def published(
    plan: Plan,
    report: Report,
    *,
    written: Mapping[str, int],
    deleted: Mapping[str, int],
    state: PromotionState = PromotionState.PUBLISHED,
) -> Promotion:
    """A promotion that was published, or found nothing new; `state` is what became of it since."""
    rows = _rows(plan)
    return Promotion(
        id=plan.promotion_id,
        state=state,
        as_of=plan.as_of,
        taken_up=rows,
        promoted={tenant: rows[tenant] for tenant, verdict in report.verdicts.items() if verdict in PROMOTES},
        held=_held(plan, report),
        waiting=plan.waiting,
        rows_written=written,
        rows_deleted=deleted,
    )


def _held(plan: Plan, report: Report) -> dict[str, Hold]:
    findings: dict[str, list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault(finding.tenant_id, []).append(finding)
    rows = _rows(plan)
    return {
        tenant: Hold(state=state, raw_rows=rows[tenant], findings=tuple(findings.get(tenant, ())))
        for tenant, state in report.verdicts.items()
        if state not in PROMOTES
    }


def _rows(plan: Plan) -> dict[str, int]:
    return {window.tenant_id: window.raw_rows for window in plan.windows}
