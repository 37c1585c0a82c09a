"""The values of a promotion: what it takes up, what it sealed, what came of it. Nothing here acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from pipeline.core.verdicts import Finding, VerdictState


class PromotionState(StrEnum):
    """How far a promotion got."""

    PLANNED = "planned"
    """Its windows stand; dbt builds."""
    BUILT = "built"
    """The candidate is complete and sealed; the gate judges."""
    JUDGED = "judged"
    """The verdicts are on record; what passed is being published."""
    PUBLISHED = "published"
    NOTHING_NEW = "nothing_new"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The raw rows of a tenant that a promotion takes up: landed from `from_xid` to the bound.

    `full_refresh`: they are all of the tenant's, and replace whatever is published of it.
    """

    tenant_id: str
    from_xid: int
    full_refresh: bool
    raw_rows: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A promotion as it stands in the ledger. Its windows are frozen: rows below the bound cannot become more."""

    promotion_id: int
    as_of: datetime
    models_fingerprint: str
    windows: tuple[Window, ...]

    @property
    def raw_rows(self) -> int:
        """The raw rows of all windows."""
        return sum(window.raw_rows for window in self.windows)


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a candidate table held when it was judged: its rows, and a hash over them in any order."""

    rows: int
    content: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a tenant was not promoted; its marts are as they were, its rows stay pending."""

    state: VerdictState
    raw_rows: int
    findings: tuple[Finding, ...] = ()


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a promotion; JSON-able."""

    id: int
    state: PromotionState
    as_of: datetime
    """Up to when the marts of the promoted tenants hold what was landed."""
    promoted: Mapping[str, int] = {}
    """Tenant to the raw rows of its window, which are in the marts now."""
    held: Mapping[str, Hold] = {}
    rows_written: Mapping[str, int] = {}
    """Mart to rows inserted, or updated because they differed."""
    rows_deleted: Mapping[str, int] = {}
    """Mart to rows deleted: only full refreshes do, and only what raw data no longer gives."""
    seconds: Mapping[str, float] = {}
    """Step to how long it took."""
    warnings: tuple[str, ...] = ()
    """What went wrong without harm to the marts."""
