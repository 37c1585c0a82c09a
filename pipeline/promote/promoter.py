"""The promotion, step by step: plan, build, seal, judge, publish, refresh; and what stewards do about one.

This module alone knows the order, and that only one of them happens at a time; what a step is lives
in the module named after it. The gate is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg

from pipeline.core import audit, fingerprint
from pipeline.core.clock import Clock
from pipeline.core.database import Database, ServiceRole
from pipeline.core.verdicts import Finding, Gate, Report
from pipeline.promote import cache, candidate, holds, ledger
from pipeline.promote.build import Builder
from pipeline.promote.discarding import Discarded, discard
from pipeline.promote.failure import explain, lost_database, telling_refusals
from pipeline.promote.lock import promotion_lock
from pipeline.promote.marts import Mart, models_fingerprint, read_cached_views, read_marts
from pipeline.promote.plan import make_plan
from pipeline.promote.promotion import Basis, Hold, Plan, Promotion, PromotionState, Request
from pipeline.promote.publish import Published, publish
from pipeline.promote.retention import Keeper
from pipeline.promote.steps import Steps, Tell
from pipeline.promote.undo import Rollback, roll_back
from pipeline.promote.verdicts import PROMOTES, settle

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
        keeper: Keeper = Keeper(),  # noqa: B008 - a frozen value
        reached: Tell = lambda _: None,
    ) -> None:
        """`wait_seconds`: how long to wait for another promotion to end.

        `parsed_dir`: where dbt leaves what it parsed for the next process; None keeps it in this one.
        `keeper` knows for how long promotions can be undone and looked up. `reached` hears of every
        point at which a process may die (POINTS).
        """
        self._database = database
        self._gate = gate
        self._dbt_dir = dbt_dir
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._keeper = keeper
        self._reached = reached
        self._builder = Builder(dbt_dir, database.url(ServiceRole.TRANSFORMER), parsed_dir=parsed_dir)

    def promote(
        self,
        *,
        tenants: Sequence[str] | None = None,
        full_refresh: bool = False,
        asked_by: str | None = None,
        progress: Tell = lambda _: None,
    ) -> Promotion:
        """Promote `tenants`, or every tenant with new data; `progress` is told each step in plain words.

        Raises PromotionRunning, TenantError, HoldError or FingerprintMismatch before anything happened,
        and PromotionError, on record in the ledger, if a step failed: then nothing was published.
        Raises DatabaseUnavailable if the database went away, which leaves all or nothing.
        """
        asked = None if tenants is None else tuple(tenants)
        request = Request(tenants=asked, full_refresh=full_refresh, asked_by=asked_by)
        with self._locked(progress) as link:
            return self._promote(link, progress, request)

    def rerun(
        self, tenants: Sequence[str], *, actor: str, reason: str | None = None, progress: Tell = lambda _: None
    ) -> Promotion:
        """Judge held tenants again, with what was landed for them since. Raises as `promote`, and HoldError."""
        with self._locked(progress) as link:
            with link.transaction():
                for tenant in tenants:
                    hold = holds.find(link, tenant)
                    details = {"hold": hold.hold_id, "promotion": hold.promotion_id, "reason": reason}
                    audit.record(link, actor=actor, action="rerun hold", tenant_id=tenant, details=details)
            request = Request(tenants=tuple(tenants), decided=True, asked_by=actor, reason=reason)
            return self._promote(link, progress, request)

    def release(self, tenant: str, *, actor: str, reason: str, progress: Tell = lambda _: None) -> Promotion:
        """Promote what a held tenant was held for, and nothing that was landed since.

        The rules that held it may fail; one that fails beside them holds it again. Raises as `promote`,
        and HoldError if the tenant is not held, or nothing was judged.
        """
        reason = holds.require_reason(reason)
        with self._locked(progress) as link:
            with link.transaction():
                release = holds.release_of(link, holds.find(link, tenant))
                details = {"hold": release.hold_id, "rules": sorted(map(list, release.permitted)), "reason": reason}
                audit.record(link, actor=actor, action="release hold", tenant_id=tenant, details=details)
            request = Request(tenants=(tenant,), decided=True, asked_by=actor, reason=reason, release=release)
            return self._promote(link, progress, request)

    def discard(
        self,
        tenant: str,
        *,
        actor: str,
        reason: str,
        events: Sequence[UUID] | None = None,
        progress: Tell = lambda _: None,
    ) -> Discarded:
        """Keep what a tenant is held for, or some events of it, out of the marts for good. Raises HoldError."""
        reason = holds.require_reason(reason)
        with self._locked(progress) as link:
            return discard(link, tenant, events=events, actor=actor, reason=reason)

    def rollback(
        self,
        promotion_id: int,
        *,
        actor: str,
        reason: str,
        tenants: Sequence[str] | None = None,
        cascade: bool = False,
        progress: Tell = lambda _: None,
    ) -> Rollback:
        """Take a promotion back out of the marts; its tenants are held then. Raises RollbackError."""
        reason = holds.require_reason(reason)
        with self._locked(progress) as link:
            progress(f"Undoing promotion {promotion_id}")
            done = roll_back(
                link,
                read_marts(self._dbt_dir),
                promotion_id,
                tenants=tenants,
                cascade=cascade,
                actor=actor,
                reason=reason,
                reached=self._reached,
            )
            progress("Refreshing cached views")
            warnings = cache.refresh(link, read_cached_views(self._dbt_dir))
        return msgspec.structs.replace(done, warnings=warnings)

    @contextmanager
    def _locked(self, progress: Tell) -> Iterator[psycopg.Connection]:
        """The connection that holds the lock, after whoever died with it was cleared up."""
        try:
            with (
                self._database.connect(ServiceRole.PUBLISHER, autocommit=True, application=APPLICATION) as link,
                promotion_lock(link, wait_seconds=self._wait_seconds, tell=progress),
            ):
                ledger.take_over(link)
                with telling_refusals(link):
                    yield link
        except psycopg.OperationalError as error:
            raise lost_database(error) from error

    def _promote(self, link: psycopg.Connection, progress: Tell, request: Request) -> Promotion:
        steps = Steps(progress, self._reached)
        models = models_fingerprint(self._dbt_dir)
        with steps.step("plan", "Looking for new data"):
            fingerprint.verify(link)
            basis = Basis(models_fingerprint=models, rules_fingerprint=lambda: self._gate.fingerprint)
            plan = make_plan(link, request, as_of=self._clock(), basis=basis)
        promotion = self._carry_out(link, plan, request, steps)
        # Also when there was nothing new: a process killed after publishing left them stale.
        with steps.step("refresh", "Refreshing cached views"):
            warnings = cache.refresh(link, read_cached_views(self._dbt_dir))
        with steps.step("tidy", "Removing what is past its time"):
            warnings += self._keeper.tidy(link, read_marts(self._dbt_dir))
        return msgspec.structs.replace(promotion, seconds=steps.seconds, warnings=warnings)

    def _carry_out(self, link: psycopg.Connection, plan: Plan, request: Request, steps: Steps) -> Promotion:
        if not plan.windows:
            nothing = PromotionState.NOTHING_NEW
            return Promotion(id=plan.promotion_id, state=nothing, as_of=plan.as_of, waiting=plan.waiting)
        try:
            return self._promote_planned(link, plan, request, steps)
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

    def _promote_planned(self, link: psycopg.Connection, plan: Plan, request: Request, steps: Steps) -> Promotion:
        marts = read_marts(self._dbt_dir)
        tenants = f"{len(plan.windows):,} tenant{'s' if len(plan.windows) > 1 else ''}"
        with steps.step("build", f"Building candidates from {plan.raw_rows:,} events of {tenants}"):
            self._builder.build(models_fingerprint=plan.models_fingerprint)
        with steps.step("seal", f"Sealing {len(marts)} candidate tables"):
            seals = candidate.seal(link, marts)
            ledger.advance(link, plan.promotion_id, PromotionState.PLANNED, PromotionState.BUILT)
        with steps.step("judge", f"Checking {tenants}"):
            report = settle(plan, self._judge(plan, marts), request.release)
            with link.transaction():
                ledger.record_verdicts(link, plan.promotion_id, report, rules_fingerprint=self._gate.fingerprint)
                ledger.advance(link, plan.promotion_id, PromotionState.BUILT, PromotionState.JUDGED)
        promoted = [window for window in plan.windows if report.verdicts[window.tenant_id] in PROMOTES]
        held = len(plan.windows) - len(promoted)
        words = f"Publishing {len(promoted):,} of {tenants}" + (f", {held:,} held" if held else "")
        with steps.step("publish", words):
            published = publish(link, plan, request, promoted=promoted, marts=marts, seals=seals, reached=steps.reached)
        return _published(plan, report, published)

    def _judge(self, plan: Plan, marts: Sequence[Mart]) -> Report:
        return self._gate.judge(
            promotion_id=plan.promotion_id,
            tenants={window.tenant_id: window.raw_rows for window in plan.windows},
            models=[mart.name for mart in marts],
        )


def _published(plan: Plan, report: Report, published: Published) -> Promotion:
    findings: dict[str, list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault(finding.tenant_id, []).append(finding)
    rows = {window.tenant_id: window.raw_rows for window in plan.windows}
    return Promotion(
        id=plan.promotion_id,
        state=PromotionState.PUBLISHED,
        as_of=plan.as_of,
        promoted={tenant: rows[tenant] for tenant, state in report.verdicts.items() if state in PROMOTES},
        held={
            tenant: Hold(state=state, raw_rows=rows[tenant], findings=tuple(findings.get(tenant, ())))
            for tenant, state in report.verdicts.items()
            if state not in PROMOTES
        },
        waiting=plan.waiting,
        rows_written=published.written,
        rows_deleted=published.deleted,
    )
