"""What a quality report says, as values; how it is read and how it is shown is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """The promotion that is reported; the counts are of tenants, `events` of raw rows in its windows."""

    promotion_id: int
    state: str
    as_of: datetime
    """Up to when it holds what was landed."""
    bound_xid: str
    """Exclusive: it took up rows landed below this transaction."""
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    asked_by: str | None
    full_refresh: bool
    requested_tenants: Sequence[str] | None
    """None: every tenant with new data."""
    releases_hold: int | None
    models_fingerprint: str
    rules_fingerprint: str | None
    tenants: int
    judged: int
    """Those with a verdict."""
    promoted: int
    failed: int
    unjudged: int
    """Errored, empty or unseen; with those that failed, they are the held."""
    undone: int
    events: int
    undoable: bool
    error: str | None

    @property
    def held(self) -> int:
        """Tenants that were not let through."""
        return self.failed + self.unjudged

    @property
    def is_out(self) -> bool:
        """Whether what passed was published."""
        return self.state in ("published", "rolled_back")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, as it was evaluated over all tenants of the promotion."""

    boundary: str
    rule: str
    table_name: str
    severity: str
    why: str
    outcome: str
    checked_rows: int
    failing_rows: int
    failing_tenants: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that did not pass for a tenant; up to 20 of its rows are samples."""

    boundary: str
    rule: str
    severity: str
    outcome: str
    failing_rows: int
    detail: str
    why: str | None
    """Why such a row would hurt; None where it is a finding about the judgement itself."""
    samples: Sequence[Mapping[str, Any]]

    @property
    def stops(self) -> bool:
        """Whether it holds the tenant."""
        return self.severity == "stop" or self.outcome == "errored"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a mart that differ from the tenant's last good state before the promotion."""

    mart: str
    inserted: int
    updated: int
    deleted: int


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold of a tenant, with the decision that ended it; `decided_by` is None where data passed by itself."""

    hold_id: int
    state: str
    cause: str
    promotion_id: int
    verdict: str
    events: int
    opened_at: datetime
    judged_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did about a tenant, from the audit log."""

    at: datetime
    actor: str
    action: str
    reason: str | None
    details: Any


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's part in the promotion."""

    tenant_id: str
    events: int
    """Raw rows that waited for the promotion."""
    verdict: str | None
    promoted: bool
    full_refresh: bool
    undone_at: datetime | None
    checked_rows: Mapping[str, int]
    """Candidate table to the rows of it that were checked."""
    figures_as_of: datetime | None
    """Of when its published figures are now; None where nothing was ever published."""
    changes: Sequence[Change] = ()
    findings: Sequence[Finding] = ()
    """Those that stop before those that warn."""
    holds: Sequence[Hold] = ()
    """Newest first: of this promotion, and the one that is open."""
    decisions: Sequence[Decision] = ()
    """Newest first."""

    @property
    def held(self) -> bool:
        """Whether the promotion judged it and did not let it through."""
        return self.verdict not in (None, "passed", "released")

    @property
    def open_hold(self) -> Hold | None:
        """The hold that waits for a decision now."""
        return next((hold for hold in self.holds if hold.state == "open"), None)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion in the trend: of all tenants, or of the one that the report is about."""

    promotion_id: int
    started_at: datetime
    state: str
    events: int
    promoted: int
    failed: int
    unjudged: int
    failing_rows: int
    verdict: str | None
    """Of the tenant; None in the trend of all."""
    undone: bool

    @property
    def held(self) -> int:
        """Tenants that were judged and not promoted."""
        return self.failed + self.unjudged


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done next, as it is typed; the dots stand for a reason."""

    line: str
    does: str


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report of one promotion, or of one tenant's part in it."""

    made_at: datetime
    tenant_id: str | None
    promotion: Promotion
    checks: Sequence[Check]
    """In the order of boundaries and rules; empty for promotions of earlier releases."""
    tenants: Sequence[Tenant]
    """Those that were not promoted first, then those with warnings, then the rest."""
    trend: Sequence[Point]
    """Up to 30 promotions that judged, the oldest first; the last is the reported one."""
    commands: Sequence[Command]
