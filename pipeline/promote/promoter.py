"""The promotion: plan, carry through its stages, refresh; and what stewards do about one.

This module alone knows that only one of them happens at a time, and closes what failed; the stages are
in `stages`, and what a step is lives in the module named after it. The gate is handed in.
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
from pipeline.core.verdicts import Gate
from pipeline.promote import cache, holds, ledger, resting, watched
from pipeline.promote.build import Builder
from pipeline.promote.discarding import Discarded, discard
from pipeline.promote.failure import explain, lost_database, telling_refusals
from pipeline.promote.lock import promotion_lock
from pipeline.promote.marts import models_fingerprint, read_cached_views, read_marts
from pipeline.promote.plan import make_plan
from pipeline.promote.promotion import Basis, Promotion, PromotionState, Request, Underway
from pipeline.promote.retention import Keeper
from pipeline.promote.stages import Stages
from pipeline.promote.steps import Steps, Tell
from pipeline.promote.undo import Rollback, roll_back

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
        key: str | None = None,
        until: PromotionState = PromotionState.PUBLISHED,
        progress: Tell = lambda _: None,
    ) -> Promotion:
        """Promote `tenants`, or every tenant with new data; `progress` is told each step in plain words.

        `key` names what is asked for, once for all: who asks again by the same key is answered what came
        of it, unless it failed or could not be judged. Then, and only then, the promotion may rest at
        `until`, built or judged, until somebody asks again by its key and it goes on.

        Raises PromotionRunning, TenantError, HoldError or FingerprintMismatch before anything happened,
        and PromotionError, on record in the ledger, if a step failed: then nothing was published.
        Raises DatabaseUnavailable if the database went away, which leaves all or nothing.
        """
        asked = None if tenants is None else tuple(tenants)
        request = Request(tenants=asked, full_refresh=full_refresh, asked_by=asked_by, key=key)
        if key is None and until is not PromotionState.PUBLISHED:
            raise ValueError("nobody could take up again what rests without a key")
        with self._locked(progress, key) as link:
            return self._promote(link, progress, request, until)

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
    def _locked(self, progress: Tell, key: str | None = None) -> Iterator[psycopg.Connection]:
        """The connection that holds the lock, after whoever died with it was cleared up.

        What rests for another request than `key` is set aside.
        """
        try:
            with (
                self._database.connect(ServiceRole.PUBLISHER, autocommit=True, application=APPLICATION) as link,
                promotion_lock(link, wait_seconds=self._wait_seconds, tell=progress),
            ):
                ledger.take_over(link, key=key)
                with telling_refusals(link):
                    yield link
        except psycopg.OperationalError as error:
            raise lost_database(error) from error

    def _promote(
        self,
        link: psycopg.Connection,
        progress: Tell,
        request: Request,
        until: PromotionState = PromotionState.PUBLISHED,
    ) -> Promotion:
        found = resting.find(link, request)
        with watched.promotion_span(link, found.promotion_id if found is not None and found.rests else None):
            promotion = self._go_on(link, found, request, until, Steps(progress, self._reached))
            watched.record_seconds(link, promotion.id, promotion.seconds)
        return promotion

    def _go_on(
        self,
        link: psycopg.Connection,
        found: resting.Found | None,
        request: Request,
        until: PromotionState,
        steps: Steps,
    ) -> Promotion:
        if found is not None and found.answers:
            promotion = resting.answer(link, found, read_marts(self._dbt_dir))
        else:
            underway = self._taken_up(link, found, steps) or self._planned(link, request, steps)
            promotion = self._carry_out(link, underway, request, until, steps)
        if promotion.state in resting.RESTING:
            return msgspec.structs.replace(promotion, seconds=steps.seconds)
        # Also when there was nothing new: a process killed after publishing left them stale.
        with steps.step("refresh", "Refreshing cached views"):
            warnings = cache.refresh(link, read_cached_views(self._dbt_dir))
        with steps.step("tidy", "Removing what is past its time"):
            warnings += self._keeper.tidy(link, read_marts(self._dbt_dir))
        return msgspec.structs.replace(promotion, seconds=steps.seconds, warnings=warnings)

    def _taken_up(self, link: psycopg.Connection, found: resting.Found | None, steps: Steps) -> Underway | None:
        if found is None or not found.rests:
            return None
        with steps.step("take up", f"Taking up promotion {found.promotion_id} again"):
            return resting.take_up(link, found, models_fingerprint=models_fingerprint(self._dbt_dir))

    def _planned(self, link: psycopg.Connection, request: Request, steps: Steps) -> Underway:
        models = models_fingerprint(self._dbt_dir)
        with steps.step("plan", "Looking for new data"):
            fingerprint.verify(link)
            basis = Basis(models_fingerprint=models, rules_fingerprint=lambda: self._gate.fingerprint)
            return Underway(plan=make_plan(link, request, as_of=self._clock(), basis=basis))

    def _carry_out(
        self, link: psycopg.Connection, underway: Underway, request: Request, until: PromotionState, steps: Steps
    ) -> Promotion:
        plan = underway.plan
        if not plan.windows:
            nothing = PromotionState.NOTHING_NEW
            return Promotion(id=plan.promotion_id, state=nothing, as_of=plan.as_of, waiting=plan.waiting)
        try:
            with watched.known_as(link, plan.promotion_id, is_new=underway.seals is None):
                stages = Stages(builder=self._builder, gate=self._gate, marts=read_marts(self._dbt_dir), steps=steps)
                return stages.carry(link, underway, request, until=until)
        except Exception as error:
            step = steps.current
            # dbt and the gate have connections of their own: this one knows that it is lost once it is used.
            with suppress(psycopg.OperationalError):
                link.execute("select")
            explained = explain(error, promotion_id=plan.promotion_id, step=step, connected=not link.broken)
            # Without a connection the next promotion closes this one.
            with suppress(psycopg.OperationalError):
                ledger.fail(link, plan.promotion_id, explained.message)
            explained.about = {"promotion_id": plan.promotion_id}
            raise explained from error
