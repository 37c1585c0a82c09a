"""What a gate answers: a verdict per tenant, and the findings behind it.

The gate itself lives in `checks`; the promotion knows it by the `Gate` protocol alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec


class VerdictState(StrEnum):
    """How a tenant's new data was judged. Only `PASSED` promotes, and what a steward released."""

    PASSED = "passed"
    RELEASED = "released"
    """It failed, and a steward released exactly this. No gate answers it."""
    FAILED = "failed"
    """A stop rule has failing rows of the tenant."""
    ERRORED = "errored"
    """A rule could not be evaluated: the gate knows nothing."""
    EMPTY = "empty"
    """Raw rows are waiting, but the candidate has none of them."""
    UNSEEN = "unseen"
    """The gate's answer does not mention the tenant."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that did not pass for a tenant; `samples` are at most 20 rows, JSON-able."""

    tenant_id: str
    boundary: str
    rule: str
    severity: Literal["stop", "warn"]
    outcome: Literal["failed", "errored"]
    failing_rows: int
    detail: str
    samples: tuple[dict[str, object], ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it was evaluated over all tenants of a promotion; it errored, or has failing rows, or passed."""

    boundary: str
    rule: str
    table: str
    severity: Literal["stop", "warn"]
    why: str
    outcome: Literal["passed", "failed", "errored"]
    checked_rows: int
    failing_rows: int
    failing_tenants: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's whole answer for one promotion."""

    verdicts: Mapping[str, VerdictState]
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    """Every rule that was evaluated, those that passed included."""
    checked_rows: Mapping[str, Mapping[str, int]] = {}
    """Tenant to candidate table to the rows of it that were checked."""


class Gate(Protocol):
    """Judges the candidate of one promotion."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the rules or their thresholds do: what they held is then judged again."""
        ...

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """A verdict for each of `tenants` (tenant_id to the raw rows waiting in its window).

        `models` names the candidate tables that would be published. Never raises for bad data or a
        broken rule: those are verdicts.
        """
        ...
