"""The values of a promotion: what it takes up, what it sealed, what came of it. Nothing here acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from pipeline.core.verdicts import Finding, Report, VerdictState


class PromotionState(StrEnum):
    """How far a promotion got."""

    PLANNED = "planned"
    """Its windows stand; dbt builds."""
    BUILT = "built"
    """The candidate is complete and sealed; the gate judges."""
    JUDGED = "judged"
    """The verdicts are on record; what passed is being published."""
    PUBLISHED = "published"
    ROLLED_BACK = "rolled_back"
    """It was published, and undone for every tenant since."""
    NOTHING_NEW = "nothing_new"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Basis:
    """By what a promotion builds and judges; what was held on another basis is judged again.

    The rules' fingerprint is asked for only where a tenant is held: the first time, reading the rules
    takes seconds.
    """

    models_fingerprint: str
    rules_fingerprint: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Release:
    """A hold that a steward releases: what was judged, up to `bound_xid`, and the rules that may fail in it."""

    tenant_id: str
    hold_id: int
    bound_xid: int
    as_of: datetime
    permitted: frozenset[tuple[str, str]]
    """Boundary and name of each rule that held it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a promotion is asked for: some tenants or all, what is new or everything.

    `decided`: somebody decided that held tenants go too, those whose promotion was undone included.
    `reason` is the steward's, for what is released or judged again. `key` names what is asked for: asked
    again by the same key, the promotion that it led to is the answer.
    """

    tenants: tuple[str, ...] | None = None
    full_refresh: bool = False
    decided: bool = False
    asked_by: str | None = None
    reason: str | None = None
    release: Release | None = None
    key: str | None = None


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
    waiting: tuple[str, ...] = ()
    """Tenants that are held, and of which nothing has changed since they were judged."""

    @property
    def raw_rows(self) -> int:
        """The raw rows of all windows."""
        return sum(window.raw_rows for window in self.windows)


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a candidate table held when it was judged: its rows, and a hash over them in any order."""

    rows: int
    content: int


@dataclass(frozen=True, kw_only=True)
class Underway:
    """A promotion as far as it got: planned, built once it has seals, judged once it has a report."""

    plan: Plan
    seals: Mapping[str, Seal] | None = None
    report: Report | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a tenant was not promoted, or will not be; its marts are as they were, its rows stay pending."""

    state: VerdictState
    raw_rows: int
    findings: tuple[Finding, ...] = ()


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a promotion; JSON-able."""

    id: int
    state: PromotionState
    as_of: datetime
    """Up to when the marts of the promoted tenants hold what was landed."""
    taken_up: Mapping[str, int] = {}
    """Tenant to the raw rows of its window: those that were promoted, those that are held, or not judged yet."""
    promoted: Mapping[str, int] = {}
    """Tenant to the raw rows of its window, which are in the marts now."""
    held: Mapping[str, Hold] = {}
    waiting: tuple[str, ...] = ()
    """Tenants held by an earlier promotion, of which nothing has changed since; they were not judged again."""
    rows_written: Mapping[str, int] = {}
    """Mart to rows inserted, or updated because they differed."""
    rows_deleted: Mapping[str, int] = {}
    """Mart to rows deleted: only full refreshes do, and only what raw data no longer gives."""
    seconds: Mapping[str, float] = {}
    """Step to how long it took."""
    warnings: tuple[str, ...] = ()
    """What went wrong without harm to the marts."""
