"""Random tenants with random faults, up to 2,000 at once, before the real gate.

Exactly those without a fault are promoted, the marts of the others keep every byte, and no row of a
tenant is found with another. `--walk-seed N` repeats the choices.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from checks.gate import ExpectationsGate
from pipeline.core.database import ServiceRole
from pipeline.core.verdicts import VerdictState
from tests.integration.promote.estate import AROUND, Estate, Event, event

pytestmark = pytest.mark.long

# What the sender got wrong; each breaks a rule that stops.
FAULTS: Mapping[str, Callable[[Event], Mapping[str, Any]]] = {
    "a clock that is ahead": lambda e: {"received_at": e["occurred_at"] - timedelta(hours=1, seconds=1)},
    "a type that is no name": lambda _: {"event_type": "Page View"},
    "a user without a name": lambda _: {"user_id": ""},
    "a session without a name": lambda _: {"session_id": ""},
}
# What is odd, and no fault.
ODD: Sequence[Callable[[Event], Mapping[str, Any]]] = (
    lambda e: {"received_at": e["occurred_at"] - timedelta(minutes=59)},
    lambda e: {"received_at": e["occurred_at"] + timedelta(days=20)},
    lambda _: {"user_id": None},
    lambda _: {"session_id": None, "user_id": None},
    lambda _: {"user_id": "Élodie 🦊", "event_type": "a.b_c.d"},
)
OF_SOMEBODY_ELSE = """
select count(*) from marts.fct_usage_events as f
where not exists (select from raw.usage_events as e where e.tenant_id = f.tenant_id and e.event_id = f.event_id)
"""
NOT_UP_TO_PROGRESS = """
with due as (
    select e.tenant_id, e.event_id from raw.countable_events as e
    inner join control.promotion_progress as g on g.tenant_id = e.tenant_id and e.landed_xid < g.promoted_xid
), shown as (select tenant_id, event_id from marts.fct_usage_events)
select count(*) from ((table due except table shown) union all (table shown except table due)) as different
"""


class Draw:
    """Random events and faults of some tenants."""

    def __init__(self, chance: random.Random, names: Sequence[str]) -> None:
        self.chance = chance
        self.names = names
        self._ids = dict.fromkeys(names, 0)

    def events(self, most: int) -> dict[str, list[Event]]:
        """For each tenant none, one or more; days, users and sessions collide with those of earlier draws."""
        return {name: [self._event(name) for _ in range(self.chance.choice([0, 1, 1, most]))] for name in self.names}

    def _event(self, name: str) -> Event:
        at = AROUND + timedelta(minutes=15 * self.chance.randrange(-500, 500))
        self._ids[name] += 1
        drawn = event(
            name,
            at,
            # The same in every tenant.
            event_id=uuid.UUID(int=self._ids[name]),
            event_type=self.chance.choice(["page_view", "api_call", "report.exported"]),
            user_id=f"u{self.chance.randrange(4)}",
            session_id=f"s{self.chance.randrange(5)}",
        )
        return {**drawn, **(self.chance.choice(ODD)(drawn) if self.chance.random() < 0.2 else {})}

    def spoil(self, events: Mapping[str, list[Event]], share: float) -> set[str]:
        """Give some tenants a fault in one event; answers whom."""
        chosen = {name for name, drawn in events.items() if drawn and self.chance.random() < share}
        for name in chosen:
            place = self.chance.randrange(len(events[name]))
            spoiled = events[name][place]
            events[name][place] = {**spoiled, **FAULTS[self.chance.choice(list(FAULTS))](spoiled)}
        return chosen


@pytest.fixture
def real_estate(estate: Estate) -> Estate:
    """With Great Expectations as the gate."""
    estate.gate = ExpectationsGate(estate.database.url(ServiceRole.PUBLISHER))
    return estate


def test_exactly_the_faultless_are_promoted_and_nobody_else_changes(
    real_estate: Estate, request: pytest.FixtureRequest
) -> None:
    chance = seeded(request)
    promoter, published = real_estate.promoter(), list[Event]()
    for number, size in enumerate([1, 2, chance.randrange(3, 9), chance.randrange(9, 60)]):
        names = [f"t{number}-{place}" for place in range(size)]
        real_estate.tenants(*names)
        published += promote_windows(real_estate, promoter, Draw(chance, names), windows=2, published=published)


def test_two_thousand_tenants_are_told_apart(real_estate: Estate, request: pytest.FixtureRequest) -> None:
    names = [f"many-{place}" for place in range(2_000)]
    real_estate.tenants(*names)
    draw = Draw(seeded(request), names)
    promote_windows(real_estate, real_estate.promoter(), draw, windows=2, published=[])


def promote_windows(
    estate: Estate, promoter: Any, draw: Draw, *, windows: int, published: Sequence[Event]
) -> list[Event]:
    """Land, spoil and promote so often; answers what of the tenants is published then."""
    shown: dict[str, list[Event]] = {name: [] for name in draw.names}
    pending: dict[str, list[Event]] = {name: [] for name in draw.names}
    faulty: set[str] = set()
    for window in range(windows):
        events = draw.events(6)
        faulty |= draw.spoil(events, draw.chance.choice([0.1, 0.4, 0.9]))
        if landed := [each for drawn in events.values() for each in drawn]:
            estate.land(*landed)
        for name, drawn in events.items():
            pending[name] += drawn
        before = estate.hashes()
        promotion = promoter.promote(tenants=draw.names)
        waiting = {name for name, drawn in pending.items() if drawn}
        assert set(promotion.promoted) == waiting - faulty, f"window {window}"
        assert {name: hold.state for name, hold in promotion.held.items()} == dict.fromkeys(
            waiting & faulty, VerdictState.FAILED
        )
        for name in promotion.promoted:
            shown[name] += pending[name]
            pending[name] = []
        after, changed = estate.hashes(), set(promotion.promoted)
        assert {key: of for key, of in after.items() if key[0] not in changed} == {
            key: of for key, of in before.items() if key[0] not in changed
        }
        estate.expect_published([*published, *(each for drawn in shown.values() for each in drawn)])
        assert estate.value(OF_SOMEBODY_ELSE) == 0
        assert estate.value(NOT_UP_TO_PROGRESS) == 0
    assert faulty or len(draw.names) < 9
    return [each for drawn in shown.values() for each in drawn]


def seeded(request: pytest.FixtureRequest) -> random.Random:
    """The choices, and how to repeat them."""
    given = request.config.getoption("--walk-seed", None)
    seed = secrets.randbelow(1_000_000) if given is None else int(given)
    print(f"--walk-seed {seed}")
    return random.Random(seed)
