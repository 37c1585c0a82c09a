"""What must become of each tenant, in plain Python: a model of promotions, holds and undoing.

It knows nothing of SQL or xids: landings are numbered, and a bound is a number. It answers what a
promotion, a decision or a rollback must do, and changes itself accordingly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

Event = dict[str, Any]
FAILED, ERRORED, UNSEEN, ROLLED_BACK = "failed", "errored", "unseen", "rolled_back"


class Refused(Exception):
    """The step must raise, and change nothing."""


@dataclass(frozen=True)
class Shown:
    """What is published of a tenant, and up to which landing (exclusive)."""

    upto: int = 0
    events: frozenset[UUID] = frozenset()
    promotion: int | None = None
    as_of: datetime | None = None
    models: str | None = None


@dataclass(frozen=True)
class Held:
    """An open hold: for what, and up to which landing (exclusive) a decision reaches."""

    verdict: str
    bound: int
    as_of: datetime
    models: str
    rules: frozenset[str]
    """In force when it was judged."""
    failing: frozenset[str] = frozenset()
    """Those that a release permits."""
    anew: bool = False
    """Whether what is held, or was undone, began anew: whatever ends the hold does too."""


@dataclass(frozen=True)
class Standing:
    """A promotion of the tenant that can be undone."""

    promotion: int
    before: Shown
    bound: int
    as_of: datetime
    failing: frozenset[str]
    anew: bool


@dataclass
class Tenant:
    """One tenant: what was landed, and what became of it."""

    landed: dict[UUID, tuple[int, Event]] = field(default_factory=dict)
    discarded: set[UUID] = field(default_factory=set)
    shown: Shown = Shown()
    hold: Held | None = None
    chain: list[Standing] = field(default_factory=list)
    once_undone: set[str] = field(default_factory=set)
    """The rules that failed in any promotion of it that was undone."""

    def waiting(self, begin: int, bound: int) -> frozenset[UUID]:
        """The countable events of these landings."""
        return frozenset(i for i, (n, _) in self.landed.items() if begin <= n < bound and i not in self.discarded)

    def newest(self) -> int:
        """The number of its latest landing."""
        return max((number for number, _ in self.landed.values()), default=-1)

    def failing(self, events: Iterable[UUID], rules: frozenset[str]) -> frozenset[str]:
        """The rules in force that some of the events break."""
        return frozenset(self.landed[i][1]["properties"].get("taint") for i in events) & rules


@dataclass(frozen=True, kw_only=True)
class Basis:
    """By what a promotion is judged, and whom its gate cannot judge."""

    models: str
    rules: frozenset[str]
    blind: Mapping[str, str]
    """Tenant to errored or unseen."""
    as_of: datetime


@dataclass
class Expected:
    """All tenants."""

    tenants: dict[str, Tenant]
    landings: int = 0
    decisions: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and action, in order: what the audit log must hold."""

    def land(self, events: Sequence[Event]) -> None:
        """One landing."""
        for event in events:
            self.tenants[event["tenant_id"]].landed[event["event_id"]] = (self.landings, event)
        self.landings += 1

    def published(self) -> list[Event]:
        """Every event that must be in the marts."""
        return [t.landed[i][1] for t in self.tenants.values() for i in t.shown.events]

    def windows(
        self,
        names: Sequence[str] | None,
        basis: Basis,
        *,
        full: bool = False,
        decided: bool = False,
        bound: int | None = None,
    ) -> dict[str, tuple[bool, frozenset[UUID]]]:
        """Tenant to whether it begins anew, and the events that are judged. Raises Refused."""
        asked = self.tenants if names is None else names
        waits = {
            n for n in asked if not decided and self._waits(self.tenants[n], basis, named=names is not None or full)
        }
        if names is not None and waits:
            raise Refused
        found = {}
        for name in asked:
            tenant = self.tenants[name]
            if name in waits:
                continue
            held_anew = tenant.hold is not None and tenant.hold.anew
            anew = full or held_anew or tenant.shown.models != basis.models
            events = tenant.waiting(0 if anew else tenant.shown.upto, self.landings if bound is None else bound)
            if events:
                found[name] = (anew, events)
        return found

    def _waits(self, tenant: Tenant, basis: Basis, *, named: bool) -> bool:
        hold = tenant.hold
        if hold is None:
            return False
        same = hold.verdict == FAILED and tenant.newest() < hold.bound
        settled = same and (hold.models, hold.rules) == (basis.models, basis.rules)
        return hold.verdict == ROLLED_BACK or (settled and not named)

    def promote(
        self,
        promotion: int,
        windows: Mapping[str, tuple[bool, frozenset[UUID]]],
        basis: Basis,
        release: Held | None = None,
    ) -> dict[str, str]:
        """Judge and publish; answers the verdict of each tenant."""
        verdicts = {}
        as_of, bound = (release.as_of, release.bound) if release else (basis.as_of, self.landings)
        for name, (anew, events) in windows.items():
            tenant = self.tenants[name]
            failing = tenant.failing(events, basis.rules)
            verdict = basis.blind.get(name) or (FAILED if failing else "passed")
            if verdict == FAILED and release is not None and failing <= release.failing:
                verdict = "released"
            verdicts[name] = verdict
            if verdict in ("passed", "released"):
                tenant.chain.append(Standing(promotion, tenant.shown, bound, as_of, failing, anew))
                kept = frozenset() if anew else tenant.shown.events
                tenant.shown = Shown(bound, kept | events, promotion, as_of, basis.models)
                tenant.hold = None
            else:
                seen = frozenset() if name in basis.blind else failing
                tenant.hold = Held(verdict, bound, as_of, basis.models, basis.rules, seen, anew)
        self.refresh_as_of(as_of)
        return verdicts

    def refresh_as_of(self, as_of: datetime) -> None:
        """Whoever has nothing pending is as fresh as this promotion."""
        for tenant in self.tenants.values():
            shown = tenant.shown
            if shown.as_of is not None and tenant.newest() < shown.upto:
                tenant.shown = replace(shown, as_of=max(shown.as_of, as_of))

    def held_events(self, name: str) -> frozenset[UUID]:
        """What a decision about the tenant's hold is about."""
        tenant = self.tenants[name]
        return tenant.waiting(tenant.shown.upto, tenant.hold.bound) if tenant.hold else frozenset()

    def discard(self, name: str, events: frozenset[UUID] | None) -> tuple[int, bool]:
        """How many events are discarded, and whether that ends the hold. Raises Refused."""
        tenant, held = self.tenants[name], self.held_events(name)
        hold = tenant.hold
        if hold is None or hold.verdict in (ERRORED, UNSEEN) or not held or not (events or held) <= held:
            raise Refused
        gone = held if events is None else events
        tenant.discarded |= gone
        self.decisions.append((name, "discard events"))
        if closed := gone == held:
            shown = tenant.shown
            as_of = shown.as_of and max(shown.as_of, hold.as_of)
            tenant.shown = replace(shown, upto=max(shown.upto, hold.bound), as_of=as_of)
            tenant.hold = None
        return len(gone), closed

    def rollback(self, promotion: int, names: Sequence[str] | None, *, cascade: bool) -> tuple[list[int], list[str]]:
        """The promotions that are undone, newest first, and the tenants. Raises Refused."""
        mine = {n for n, t in self.tenants.items() if any(s.promotion == promotion for s in t.chain)}
        chosen = mine if names is None else set(names)
        if not chosen or not chosen <= mine:
            raise Refused
        undone = {n: [s for s in self.tenants[n].chain if s.promotion >= promotion] for n in chosen}
        if not cascade and any(len(links) > 1 for links in undone.values()):
            raise Refused
        for name, links in undone.items():
            tenant = self.tenants[name]
            del tenant.chain[-len(links) :]
            tenant.shown = links[0].before
            failing: frozenset[str] = frozenset().union(*(link.failing for link in links))
            tenant.once_undone |= failing
            newest = max(links, key=lambda link: (link.bound, link.as_of))
            anew = any(link.anew for link in links)
            tenant.hold = Held(ROLLED_BACK, newest.bound, newest.as_of, "", frozenset(), failing, anew)
        self.decisions += [(name, "rollback") for name in sorted(chosen)]
        return sorted({s.promotion for links in undone.values() for s in links}, reverse=True), sorted(chosen)
