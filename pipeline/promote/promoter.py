"""The promotion, step by step: plan, build, seal, judge, publish, refresh.

This module alone knows the order; what a step is lives in the module named after it. The gate is
handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psycopg

from pipeline.core import fingerprint
from pipeline.core.clock import Clock
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import Finding, Gate, Report, VerdictState
from pipeline.promote import cache, candidate, ledger
from pipeline.promote.build import Builder
from pipeline.promote.failure import explain, lost_database
from pipeline.promote.lock import promotion_lock
from pipeline.promote.marts import Mart, models_fingerprint, read_cached_views, read_marts
from pipeline.promote.plan import make_plan
from pipeline.promote.promotion import Hold, Plan, Promotion, PromotionState
from pipeline.promote.publish import Published, publish
from pipeline.promote.steps import Steps, Tell

WAIT_SECONDS = 30
APPLICATION = "workbench_promotion"


class Promoter:
    """Promotes what was landed. Keep one for as long as the process lives: it remembers what dbt parsed."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        dbt_dir: Path,
        clock: Clock,
        *,
        wait_seconds: float = WAIT_SECONDS,
        parsed_dir: Path | None = None,
    ) -> None:
        """`wait_seconds`: how long to wait for another promotion to end.

        `parsed_dir`: where dbt leaves what it parsed for the next process; None keeps it in this one.
        """
        self._database = database
        self._gate = gate
        self._dbt_dir = dbt_dir
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._builder = Builder(dbt_dir, database.url(ServiceRole.TRANSFORMER), parsed_dir=parsed_dir)

    def promote(
        self,
        *,
        tenants: Sequence[str] | None = None,
        full_refresh: bool = False,
        progress: Tell = lambda _: None,
    ) -> Promotion:
        """Promote `tenants`, or every tenant with new data; `progress` is told each step in plain words.

        Raises PromotionRunning, TenantError or FingerprintMismatch before anything happened, and
        PromotionError, on record in the ledger, if a step failed: then nothing was published.
        Raises DatabaseUnavailable if the database went away, which leaves all or nothing.
        """
        try:
            with (
                self._database.connect(ServiceRole.PUBLISHER, autocommit=True, application=APPLICATION) as link,
                promotion_lock(link, wait_seconds=self._wait_seconds, tell=progress),
            ):
                return self._promote(link, Steps(progress), tenants, full_refresh)
        except psycopg.OperationalError as error:
            raise lost_database(error) from error

    def _promote(
        self, link: psycopg.Connection, steps: Steps, tenants: Sequence[str] | None, full_refresh: bool
    ) -> Promotion:
        ledger.take_over(link)
        with steps.step("plan", "Looking for new data"):
            fingerprint.verify(link)
            plan = make_plan(
                link,
                tenants=tenants,
                full_refresh=full_refresh,
                as_of=self._clock(),
                models_fingerprint=models_fingerprint(self._dbt_dir),
            )
        promotion = self._carry_out(link, plan, steps)
        # Also when there was nothing new: a process killed after publishing left them stale.
        with steps.step("refresh", "Refreshing cached views"):
            warnings = cache.refresh(link, read_cached_views(self._dbt_dir))
        return msgspec.structs.replace(promotion, seconds=steps.seconds, warnings=warnings)

    def _carry_out(self, link: psycopg.Connection, plan: Plan, steps: Steps) -> Promotion:
        if not plan.windows:
            return Promotion(id=plan.promotion_id, state=PromotionState.NOTHING_NEW, as_of=plan.as_of)
        try:
            return self._promote_planned(link, plan, steps)
        except Exception as error:
            step = steps.current
            # dbt and the gate have connections of their own: this one knows that it is lost once it is used.
            with suppress(psycopg.OperationalError):
                link.execute("select")
            explained = explain(error, promotion_id=plan.promotion_id, step=step, connected=not link.broken)
            # Without a connection the next promotion closes this one.
            with suppress(psycopg.OperationalError):
                ledger.fail(link, plan.promotion_id, explained.message)
            raise explained from error

    def _promote_planned(self, link: psycopg.Connection, plan: Plan, steps: Steps) -> Promotion:
        marts = read_marts(self._dbt_dir)
        tenants = f"{len(plan.windows):,} tenant{'s' if len(plan.windows) > 1 else ''}"
        with steps.step("build", f"Building candidates from {plan.raw_rows:,} events of {tenants}"):
            self._builder.build(models_fingerprint=plan.models_fingerprint)
        with steps.step("seal", f"Sealing {len(marts)} candidate tables"):
            seals = candidate.seal(link, marts)
            ledger.advance(link, plan.promotion_id, PromotionState.PLANNED, PromotionState.BUILT)
        with steps.step("judge", f"Checking {tenants}"):
            report = self._judge(plan, marts)
            with link.transaction():
                ledger.record_verdicts(link, plan.promotion_id, report)
                ledger.advance(link, plan.promotion_id, PromotionState.BUILT, PromotionState.JUDGED)
        passed = [window for window in plan.windows if report.verdicts[window.tenant_id] is VerdictState.PASSED]
        held = len(plan.windows) - len(passed)
        with steps.step("publish", f"Publishing {len(passed):,} of {tenants}" + (f", {held:,} held" if held else "")):
            published = publish(link, plan, passed=passed, marts=marts, seals=seals)
        return _published(plan, report, published)

    def _judge(self, plan: Plan, marts: Sequence[Mart]) -> Report:
        """The gate's report with a verdict for each tenant of the plan and no other."""
        report = self._gate.judge(
            promotion_id=plan.promotion_id,
            tenants={window.tenant_id: window.raw_rows for window in plan.windows},
            models=[mart.name for mart in marts],
        )
        verdicts = {w.tenant_id: report.verdicts.get(w.tenant_id, VerdictState.UNSEEN) for w in plan.windows}
        return Report(verdicts=verdicts, findings=report.findings)


def _published(plan: Plan, report: Report, published: Published) -> Promotion:
    findings: dict[str, list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault(finding.tenant_id, []).append(finding)
    rows = {window.tenant_id: window.raw_rows for window in plan.windows}
    return Promotion(
        id=plan.promotion_id,
        state=PromotionState.PUBLISHED,
        as_of=plan.as_of,
        promoted={tenant: rows[tenant] for tenant, state in report.verdicts.items() if state is VerdictState.PASSED},
        held={
            tenant: Hold(state=state, raw_rows=rows[tenant], findings=tuple(findings.get(tenant, ())))
            for tenant, state in report.verdicts.items()
            if state is not VerdictState.PASSED
        },
        rows_written=published.written,
        rows_deleted=published.deleted,
    )
