"""The stages of one promotion after its plan: build, seal, judge, publish, on the connection that holds the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from pipeline.core.verdicts import Gate, Report
from pipeline.promote import candidate, ledger, outcome, resting
from pipeline.promote.build import Builder
from pipeline.promote.marts import Mart
from pipeline.promote.promotion import Plan, Promotion, PromotionState, Request, Seal, Underway
from pipeline.promote.publish import publish
from pipeline.promote.steps import Steps
from pipeline.promote.verdicts import PROMOTES, settle


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Carries promotions on; what fails raises, and the ledger is told by whoever called."""

    builder: Builder
    gate: Gate
    marts: Sequence[Mart]
    steps: Steps

    def carry(
        self, link: psycopg.Connection, underway: Underway, request: Request, *, until: PromotionState
    ) -> Promotion:
        """Bring a promotion from where it stands to `until` (built, judged or published) and tell what came of it.

        Where the gate could not judge, nobody waits for anything: the promotion is closed at once, with
        everybody held.
        """
        if underway.seals is None:
            underway = replace(underway, seals=self._build(link, underway.plan))
        if underway.report is None and until is not PromotionState.BUILT:
            underway = replace(underway, report=self._judge(link, underway.plan, request))
        if underway.report is not None and (
            until is PromotionState.PUBLISHED or outcome.could_not_judge(underway.report)
        ):
            return self._publish(link, underway.plan, request, underway.seals or {}, underway.report)
        resting.rest(link, underway)
        self.steps.reached("rested")
        return outcome.rested(underway)

    def _build(self, link: psycopg.Connection, plan: Plan) -> dict[str, Seal]:
        words = f"Building candidates from {plan.raw_rows:,} events of {_tenants(plan)}"
        with self.steps.step("build", words):
            self.builder.build(models_fingerprint=plan.models_fingerprint)
        with self.steps.step("seal", f"Sealing {len(self.marts)} candidate tables"):
            seals = candidate.seal(link, self.marts)
            ledger.advance(link, plan.promotion_id, PromotionState.PLANNED, PromotionState.BUILT)
        return seals

    def _judge(self, link: psycopg.Connection, plan: Plan, request: Request) -> Report:
        with self.steps.step("judge", f"Checking {_tenants(plan)}"):
            answer = self.gate.judge(
                promotion_id=plan.promotion_id,
                tenants={window.tenant_id: window.raw_rows for window in plan.windows},
                models=[mart.name for mart in self.marts],
            )
            report = settle(plan, answer, request.release)
            with link.transaction():
                ledger.record_verdicts(link, plan.promotion_id, report, rules_fingerprint=self.gate.fingerprint)
                ledger.advance(link, plan.promotion_id, PromotionState.BUILT, PromotionState.JUDGED)
        return report

    def _publish(
        self, link: psycopg.Connection, plan: Plan, request: Request, seals: Mapping[str, Seal], report: Report
    ) -> Promotion:
        promoted = [window for window in plan.windows if report.verdicts[window.tenant_id] in PROMOTES]
        held = len(plan.windows) - len(promoted)
        words = f"Publishing {len(promoted):,} of {_tenants(plan)}" + (f", {held:,} held" if held else "")
        with self.steps.step("publish", words):
            done = publish(
                link, plan, request, promoted=promoted, marts=self.marts, seals=seals, reached=self.steps.reached
            )
        return outcome.published(plan, report, written=done.written, deleted=done.deleted)


def _tenants(plan: Plan) -> str:
    return f"{len(plan.windows):,} tenant{'s' if len(plan.windows) > 1 else ''}"
