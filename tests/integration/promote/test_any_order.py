"""A random walk through everything that may happen to promotions, against a model in plain Python.

After every step the marts are what plain Python makes of the events that must be published, and
progress, holds, discarded events, journals and the audit log say the same. `--walk-seed N` repeats a
walk, `--walk-steps N` makes it longer.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import HoldError, RollbackError, WorkbenchError
from pipeline.promote.marts import models_fingerprint
from pipeline.promote.promotion import Promotion, PromotionState
from tests.conftest import DBT_DIR
from tests.integration.promote.estate import AROUND, Estate, Event, copy_models, event
from tests.integration.promote.expected import Basis, Expected, Refused, Tenant
from tests.integration.promote.taint import TaintGate

TENANTS = ("ada", "bob", "cleo", "dan")
RULES = ("tall", "wide", "deep")
ACT: dict[str, Any] = {"actor": "sam", "reason": "looked at it"}
PROGRESS = """
select tenant_id, promotion_id, as_of, held, h.verdict, h.holds
from control.promotion_progress
left join (
    select tenant_id, min(verdict) as verdict, count(*) as holds from control.holds where state = 'open' group by 1
) as h using (tenant_id)
"""


class Walk:
    """The real thing and the model side by side."""

    def __init__(self, estate: Estate, chance: random.Random, other_models: Path) -> None:
        self.estate = estate
        self.chance = chance
        self.gate = TaintGate(estate, RULES[:2])
        self.now = datetime(2026, 4, 1, tzinfo=UTC)
        places = (DBT_DIR, other_models)
        self.promoters = [estate.promoter(gate=self.gate, dbt_dir=place, clock=self._clock) for place in places]
        self.fingerprints = [models_fingerprint(place) for place in places]
        self.deployed = 0
        self.expected = Expected({name: Tenant() for name in TENANTS})
        self.ids: list[int] = []
        estate.tenants(*TENANTS)

    def _clock(self) -> datetime:
        return self.now

    @property
    def promoter(self) -> Any:
        return self.promoters[self.deployed]

    def basis(self) -> Basis:
        models = self.fingerprints[self.deployed]
        return Basis(models=models, rules=self.gate.rules, blind=dict(self.gate.blind), as_of=self.now)

    def step(self) -> str:
        """One thing that happens; answers what."""
        self.now += timedelta(minutes=1)
        steps: list[tuple[int, Callable[[], str]]] = [
            (5, self.land),
            (6, self.promote),
            (2, self.promote_some),
            (1, self.full_refresh),
            (3, self.release),
            (2, self.discard),
            (2, self.discard_some),
            (2, self.rerun),
            (4, self.rollback),
            (1, self.change_rules),
            (1, self.deploy),
            (1, self.blind),
        ]
        return self.chance.choices([step for _, step in steps], [weight for weight, _ in steps])[0]()

    def land(self) -> str:
        names = self.chance.sample(TENANTS, self.chance.randrange(1, 4))
        drawn = [self._event(name) for name in names for _ in range(self.chance.randrange(1, 6))]
        events = list({(each["tenant_id"], each["event_id"]): each for each in drawn}.values())
        self.estate.land(*events)
        self.expected.land(events)
        return f"land {len(events)} of {names}"

    def _event(self, tenant: str) -> Event:
        at = AROUND + timedelta(minutes=10 * self.chance.randrange(-200, 200))
        taint = self.chance.choice(RULES) if self.chance.random() < 0.12 else None
        # Other tenants have the same ids: a tenant's key is its own.
        shared = uuid.UUID(int=self.chance.randrange(1, 200))
        known = self.expected.tenants[tenant].landed
        return event(
            tenant,
            at,
            event_id=uuid.UUID(int=self.chance.getrandbits(128)) if shared in known else shared,
            event_type=self.chance.choice(["page_view", "api_call"]),
            user_id=self.chance.choice([None, "ann", "bo", "cy"]),
            session_id=self.chance.choice([None, "s1", "s2", "s3"]),
            properties={"taint": taint} if taint else {},
        )

    def _someone(self) -> str:
        """A tenant, most often a held one."""
        held = [name for name, tenant in self.expected.tenants.items() if tenant.hold]
        return self.chance.choice(held if held and self.chance.random() < 0.8 else TENANTS)

    def promote(self) -> str:
        return self._promote(None, full=False)

    def promote_some(self) -> str:
        return self._promote(self.chance.sample(TENANTS, self.chance.randrange(1, 3)), full=False)

    def full_refresh(self) -> str:
        return self._promote(self.chance.choice([None, [self.chance.choice(TENANTS)]]), full=True)

    def _promote(self, names: Sequence[str] | None, *, full: bool) -> str:
        told = f"promote {names or 'all'}{' anew' if full else ''}"
        try:
            windows = self.expected.windows(names, self.basis(), full=full)
        except Refused:
            self._refuses(HoldError, lambda: self.promoter.promote(tenants=names, full_refresh=full))
            return f"{told}: refused"
        return f"{told}: {self._took(windows, self.promoter.promote(tenants=names, full_refresh=full))}"

    def _took(self, windows: Mapping[str, Any], promotion: Promotion, release: Any = None) -> str:
        self.ids.append(promotion.id)
        before = {name: self.expected.tenants[name].shown.events for name in windows}
        if not windows:
            assert promotion.state is PromotionState.NOTHING_NEW
        verdicts = self.expected.promote(promotion.id, windows, self.basis(), release)
        promoted = {name: len(windows[name][1]) for name, v in verdicts.items() if v in ("passed", "released")}
        assert dict(promotion.promoted) == promoted
        assert {name: hold.state.value for name, hold in promotion.held.items()} == {
            name: verdict for name, verdict in verdicts.items() if name not in promoted
        }
        self._changes_are_on_record(promotion.id, windows, before)
        return repr(verdicts)

    def _changes_are_on_record(self, promotion: int, windows: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        query = (
            "select tenant_id, inserted, deleted from control.promotion_changes "
            "where promotion_id = %s and mart = 'fct_usage_events'"
        )
        found = {row[0]: row[1:] for row in self.estate.rows(query, promotion)}
        for name, (anew, events) in windows.items():
            gone = before[name] - events if anew else set()
            assert found.get(name, (0, 0)) == (len(events - before[name]), len(gone)), (name, "changes")

    def release(self) -> str:
        name = self._someone()
        hold = self.expected.tenants[name].hold
        if hold is None or hold.verdict not in ("failed", "rolled_back"):
            self._refuses(HoldError, lambda: self.promoter.release(name, **ACT))
            return f"release {name}: refused"
        windows = self.expected.windows([name], self.basis(), decided=True, bound=hold.bound)
        tenant = self.expected.tenants[name]
        failing = tenant.failing(windows[name][1], self.gate.rules) if windows else frozenset()
        seen_otherwise = failing - hold.failing and failing <= hold.failing | tenant.once_undone
        if not windows or seen_otherwise or (tenant.shown.as_of and tenant.shown.as_of > hold.as_of):
            return f"release {name}: left out"
        self.expected.decisions.append((name, "release hold"))
        return f"release {name}: {self._took(windows, self.promoter.release(name, **ACT), hold)}"

    def rerun(self) -> str:
        name = self._someone()
        if self.expected.tenants[name].hold is None:
            self._refuses(HoldError, lambda: self.promoter.rerun([name], actor="sam"))
            return f"rerun {name}: refused"
        windows = self.expected.windows([name], self.basis(), decided=True)
        if not windows:
            return f"rerun {name}: left out"
        self.expected.decisions.append((name, "rerun hold"))
        return f"rerun {name}: {self._took(windows, self.promoter.rerun([name], actor='sam'))}"

    def discard(self) -> str:
        return self._discard(self._someone(), None)

    def discard_some(self) -> str:
        name = self._someone()
        held = sorted(self.expected.held_events(name))
        if not held:
            return f"discard some of {name}: nothing"
        some = set(self.chance.sample(held, self.chance.randrange(1, len(held) + 1)))
        if self.chance.random() < 0.2:
            some |= set(list(self.expected.tenants[name].shown.events)[:1])
        return self._discard(name, frozenset(some))

    def _discard(self, name: str, events: frozenset[uuid.UUID] | None) -> str:
        told = f"discard {len(events) if events else 'all'} of {name}"
        chosen = None if events is None else sorted(events)
        if events is None and self.expected.tenants[name].hold and not self.expected.held_events(name):
            return f"{told}: left out"
        try:
            count, closed = self.expected.discard(name, events)
        except Refused:
            self._refuses(HoldError, lambda: self.promoter.discard(name, events=chosen, **ACT))
            return f"{told}: refused"
        done = self.promoter.discard(name, events=chosen, **ACT)
        assert (done.events, done.closed) == (count, closed)
        return told

    def rollback(self) -> str:
        if not self.ids:
            return "rollback: nothing"
        standing = sorted({link.promotion for tenant in self.expected.tenants.values() for link in tenant.chain})
        promotion = self.chance.choice([self.ids[-1], *standing[-6:]])
        names = None if self.chance.random() < 0.6 else [self.chance.choice(TENANTS)]
        cascade = self.chance.random() < 0.5
        told = f"rollback {promotion} of {names or 'all'}{' and later' if cascade else ''}"
        if any(t.hold and t.hold.verdict == "rolled_back" for t in self.expected.tenants.values()):
            return f"{told}: left out"
        try:
            undone, tenants = self.expected.rollback(promotion, names, cascade=cascade)
        except Refused:
            self._refuses(
                RollbackError, lambda: self.promoter.rollback(promotion, tenants=names, cascade=cascade, **ACT)
            )
            return f"{told}: refused"
        done = self.promoter.rollback(promotion, tenants=names, cascade=cascade, **ACT)
        assert (list(done.undone), list(done.tenants)) == (undone, tenants)
        return told

    def change_rules(self) -> str:
        self.gate.rules = frozenset(rule for rule in RULES if self.chance.random() < 0.6)
        return f"rules: {sorted(self.gate.rules)}"

    def deploy(self) -> str:
        self.deployed = 1 - self.deployed
        return f"models: {self.deployed}"

    def blind(self) -> str:
        states = {name: self.chance.choice(["errored", "unseen"]) for name in self.chance.sample(TENANTS, 1)}
        self.gate.blind = {} if self.gate.blind else states
        return f"blind: {self.gate.blind}"

    def _refuses(self, error: type[WorkbenchError], act: Callable[[], object]) -> None:
        before = self.estate.hashes()
        with pytest.raises(error):
            act()
        assert self.estate.hashes() == before

    def agree(self) -> None:
        """Fail unless the database says what the model says."""
        self.estate.expect_published(self.expected.published())
        found = {row[0]: row[1:] for row in self.estate.rows(PROGRESS)}
        for name, tenant in self.expected.tenants.items():
            promotion, as_of, held, verdict, holds = found.get(name, (None, None, False, None, None))
            if tenant.hold and not held and not holds and self._is_moot(name):
                tenant.hold = None
            wanted = (tenant.shown.promotion, tenant.shown.as_of, tenant.hold is not None)
            assert (promotion, as_of, held) == wanted, f"progress of {name}"
            assert (verdict, holds) == ((tenant.hold.verdict, 1) if tenant.hold else (None, None)), f"hold of {name}"
        assert self.estate.journals_of_nothing() == []
        discarded = set(self.estate.rows("select tenant_id, event_id from raw.discarded_events"))
        assert discarded == {(name, i) for name, t in self.expected.tenants.items() for i in t.discarded}
        audit = "select tenant_id, action from control.audit_log order by audit_id"
        assert self.estate.rows(audit) == self.expected.decisions

    def _is_moot(self, name: str) -> bool:
        """Whether there is nothing to decide: the hold is of a rebuild, and all events are published."""
        return not self.expected.windows([name], self.basis(), decided=True)


@pytest.mark.parametrize("walk", [1, *(pytest.param(number, marks=pytest.mark.long) for number in range(2, 9))])
def test_whatever_happens_in_whatever_order_the_marts_are_what_was_decided(
    estate: Estate, tmp_path: Path, walk: int, request: pytest.FixtureRequest
) -> None:
    given = request.config.getoption("--walk-seed", None)
    seed = secrets.randbelow(1_000_000) if given is None else int(given)
    print(f"--walk-seed {seed} (walk {walk})")
    walker = Walk(estate, random.Random(seed), copy_models(tmp_path / "dbt", "deployed"))
    for number in range(int(request.config.getoption("--walk-steps", None) or 60)):
        print(f"{number}: {walker.step()}")
        walker.agree()
