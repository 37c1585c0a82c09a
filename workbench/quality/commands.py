"""What can be done after reading a report: exact commands, as far as the state allows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from workbench.quality.report import Command, Promotion, Tenant

REASON = '--reason "..."'
RELEASABLE = ("failed", "rolled_back")
DISCARDABLE = (*RELEASABLE, "empty")
"""Nothing is decided about what the checks know nothing of."""


def next_commands(promotion: Promotion, tenants: Sequence[Tenant], tenant_id: str | None) -> list[Command]:
    """What concerns the promotion as a whole; `commands_for` says what concerns a tenant."""
    found = []
    if any(tenant.open_hold for tenant in tenants) and tenant_id is None:
        found.append(Command(line="workbench holds list", does="lists every tenant that is held now"))
    part = f" --tenant {quote(tenant_id)}" if tenant_id is not None else ""
    found.append(
        Command(
            line=f"workbench promotions diff {promotion.promotion_id}{part}",
            does="shows what it changed in the marts, or would change of who is held",
        )
    )
    undone = [tenant for tenant in tenants if tenant.promoted and tenant.undone_at is None]
    if promotion.undoable and undone:
        does = "brings every mart back to what it was before it"
        if tenant_id is not None:
            does = f"brings the marts of {tenant_id} back to what they were before it"
        line = f"workbench rollback {promotion.promotion_id}{part} {REASON}"
        found.append(Command(line=line, does=does))
    return found


def commands_for(tenant: Tenant) -> list[Command]:
    """What a steward can do about a tenant that is held now; nothing where it is not."""
    return list(_decisions(tenant))


def _decisions(tenant: Tenant) -> Iterator[Command]:
    hold = tenant.open_hold
    if hold is None:
        return
    name = quote(tenant.tenant_id)
    yield Command(line=f"workbench holds show {name}", does="shows why it is held, as of now")
    if hold.verdict in RELEASABLE:
        yield Command(
            line=f"workbench holds release {name} {REASON}",
            does="promotes what was judged, although it failed: the data is right, the rule too strict for it",
        )
    if hold.verdict in DISCARDABLE:
        yield Command(
            line=f"workbench holds discard {name} {REASON}",
            does="keeps what was judged out of the marts for good: the data is wrong",
        )
    yield Command(line=f"workbench holds rerun {name}", does="judges it again: the cause is removed")
