"""One steward at the notebook: reads of all tenants' quality, and decisions in that person's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from workbench.promotions import PromotionLine, read_promotions
from workbench.quality.reading import read_report
from workbench.quality.report import QualityReport
from workbench.stewards.deciding import Decisions, Tell
from workbench.stewards.decision import Outcome, Request
from workbench.stewardship import HeldTenant, HoldDetails, read_hold, read_holds

PROMOTIONS = 100
"""How many of the latest a page lists."""


class Quality(Protocol):
    """What the Quality notebook works with: a Steward, or a stand-in."""

    email: str

    def promotions(self) -> Sequence[PromotionLine]: ...

    def report(self, promotion_id: int | None = None) -> QualityReport: ...

    def holds(self) -> Sequence[HeldTenant]: ...

    def hold(self, tenant_id: str) -> HoldDetails: ...

    def decide(self, request: Request, tell: Tell) -> Outcome: ...


class Steward:
    """A data steward, or an administrator. Everything raises DatabaseUnavailable where the database does not answer."""

    def __init__(self, email: str, database: Database, decisions: Decisions) -> None:
        self.email = email
        self._database = database
        self._decisions = decisions

    def promotions(self) -> list[PromotionLine]:
        """The latest promotions, newest first, without those that found nothing new."""
        return read_promotions(self._database, most=PROMOTIONS)

    def report(self, promotion_id: int | None = None) -> QualityReport:
        """What a promotion checked; without a number the latest that judged. Raises PromotionError."""
        return read_report(self._database, made_at=utc_now(), promotion_id=promotion_id)

    def holds(self) -> list[HeldTenant]:
        """Who is held now, the longest first."""
        return read_holds(self._database)

    def hold(self, tenant_id: str) -> HoldDetails:
        """All about a held tenant. Raises HoldError if it is not held."""
        return read_hold(self._database, tenant_id)

    def decide(self, request: Request, tell: Tell = lambda _: None) -> Outcome:
        """Have a decision carried out, once, and tell its steps; a refusal is an outcome, too. Raises DecisionError."""
        return self._decisions.decide(request, actor=self.email, tell=tell)
