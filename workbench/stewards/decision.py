"""A decision about a held tenant: what is asked for, in whose sight, and how it ended. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import msgspec

from workbench.quality.commands import DISCARDABLE, RELEASABLE
from workbench.quality.shown import count
from workbench.stewardship import HeldTenant

Action = Literal["release", "discard", "rerun"]
LONGEST_REASON = 2_000
"""Characters, as `workbench holds` takes them."""

LABELS: Mapping[Action, str] = {"release": "Release", "rerun": "Judge again", "discard": "Discard"}
MEANINGS: Mapping[Action, str] = {
    "release": "The data is right, and the rule too strict for it: what was judged is published, although it failed.",
    "rerun": "The cause is removed: everything that waits, what was landed since included, is judged again.",
    "discard": "The data is wrong: what was judged never reaches the marts. The rows stay in raw, marked.",
}
DOING: Mapping[Action, str] = {"release": "Releasing", "rerun": "Judging again", "discard": "Discarding"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a steward decides; `hold_id` and `promotion_id` are of the hold as it was looked at."""

    token: str
    """Of the form that was filled in: whatever is asked for with it happens once."""
    action: Action
    tenant_id: str
    hold_id: int
    promotion_id: int
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a decision ended."""

    request: Request
    ended: Literal["done", "held", "refused", "broken"]
    """As decided; held again by the checks; refused, with nothing changed; or nobody knows, and a log does."""
    told: str
    remedy: str | None = None


def new_token() -> str:
    """A token for a new form."""
    return uuid4().hex


def actions_for(hold: HeldTenant) -> list[Action]:
    """What can be decided about a hold: of data that nobody could judge, only that it is judged again."""
    found: list[Action] = ["release"] if hold.verdict in RELEASABLE else []
    found.append("rerun")
    return [*found, "discard"] if hold.verdict in DISCARDABLE else found


def problem_of(action: Action | None, reason: str) -> str | None:
    """What is missing before a decision can be confirmed; None if nothing is."""
    length = len(reason.strip())
    if action is None:
        return "Choose what is to become of it."
    if not length:
        return "Say why, for whoever reads the audit log."
    return f"{length:,} characters are too many: {LONGEST_REASON:,} at most." if length > LONGEST_REASON else None


def about(request: Request, hold: HeldTenant) -> str:
    """What will happen, in a sentence, before it is confirmed."""
    events, tenant = count(hold.events, "event"), request.tenant_id
    if request.action == "release":
        failed = ", ".join(hold.rules) or "no rule"
        return f"{events} of {tenant}, judged by promotion {hold.promotion_id}, are published although {failed} failed."
    if request.action == "discard":
        return f"{events} of {tenant}, judged by promotion {hold.promotion_id}, never reach the marts: it is final."
    since = f", and {count(hold.events_since, 'event')} landed since," if hold.events_since else ""
    return f"{events} of {tenant}{since} are judged again, and published if they pass."


def outcome(request: Request, document: Mapping[str, Any]) -> Outcome:
    """How a decision ended, out of what `workbench holds ... --json` printed."""
    if request.action == "discard":
        events = count(document["events"], "event")
        told = f"{events} of {request.tenant_id} discarded: they stay in raw, and out of the marts."
        return Outcome(request=request, ended="done", told=told)
    tenant, promotion = request.tenant_id, document["id"]
    if tenant in document["held"]:
        told = f"{tenant} is held again, by promotion {promotion}: {_stopping(document['held'][tenant])}."
        return Outcome(request=request, ended="held", told=told)
    if tenant in document["promoted"]:
        told = f"{count(document['promoted'][tenant], 'event')} of {tenant} published by promotion {promotion}."
        return Outcome(request=request, ended="done", told=told)
    return Outcome(request=request, ended="done", told=f"Of {tenant} there was nothing to judge.")


def _stopping(held: Mapping[str, Any]) -> str:
    findings: Sequence[Mapping[str, Any]] = [
        each for each in held["findings"] if each["severity"] == "stop" or each["outcome"] == "errored"
    ]
    told = [f"{each['rule']} ({count(each['failing_rows'], 'failing row')})" for each in findings[:3]]
    return ", ".join(told) or str(held["state"])
