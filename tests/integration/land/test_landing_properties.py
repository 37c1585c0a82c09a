"""Promise 1 and the watermark, over thousands of generated batches that two landers land at once.

Which of two concurrent landers is first to a key is not for a model to say, the fates do; given
them, the model says exactly what must be in `raw`, in the dead letters and in the ledger. Meanwhile
a publisher takes bounds: the windows between them must hold every row once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.database import Database, ServiceRole
from pipeline.core.events import Event, Fate
from pipeline.land.landing import Lander
from tests.factories import MOMENT, event
from tests.integration.land.conftest import NewLander
from tests.integration.land.state import Key, State, as_row, read_state

EXAMPLES = 450
BATCHES_AT_LEAST = 2_000
SECONDS_BETWEEN_BOUNDS = 0.002

# What an event says besides its key: equal contents are resends, different ones conflicts.
CONTENTS: tuple[dict[str, Any], ...] = (
    {},
    {"occurred_at": MOMENT - timedelta(days=400), "properties": b'{"late":true}'},
    {"occurred_at": MOMENT + timedelta(hours=3), "user_id": None},
    {"properties": b'{"poison":"\\u0000"}'},
    {"user_id": "poison \0"},
)
POISON = frozenset({3, 4})
TENANTS = ("first", "second", "unknown")

arrivals = st.tuples(st.sampled_from(TENANTS), st.integers(0, 5), st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4]))
schedules = st.lists(st.lists(arrivals, min_size=1, max_size=8), min_size=1, max_size=6)

BOUND = "select pg_snapshot_xmin(pg_current_snapshot())::text"
WINDOW = """
select tenant_id, event_id from raw.usage_events
where tenant_id = any(%s) and landed_xid >= %s::xid8 and landed_xid < %s::xid8
"""
BEHIND = """
select e.tenant_id
from raw.usage_events as e
left join control.landing_progress as p using (tenant_id)
where e.tenant_id = any(%s)
group by e.tenant_id, p.landed_xid
having max(e.landed_xid) is distinct from p.landed_xid
"""
LATEST = "select coalesce(max(landed_xid), '0')::text from raw.usage_events where tenant_id = any(%s)"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An event that was handed over and the fate that was told."""

    event: Event
    poison: bool
    unknown: bool
    lander: int
    fate: Fate


@dataclass(kw_only=True)
class Windows:
    """What promotions at arbitrary moments would take up."""

    publisher: psycopg.Connection
    tenants: Sequence[str]
    bounds: list[str] = field(default_factory=lambda: ["0"])
    taken: list[Counter[Key]] = field(default_factory=list)

    def take(self) -> None:
        self.bounds.append(scalar(self.publisher, BOUND))
        self.taken.append(self.read(*self.bounds[-2:]))

    def read(self, start: str, end: str) -> Counter[Key]:
        return Counter(self.publisher.execute(WINDOW, (self.tenants, start, end)).fetchall())

    def take_the_rest(self) -> None:
        latest = int(scalar(self.publisher, LATEST, (self.tenants,)))
        while int(self.bounds[-1]) <= latest:
            self.take()


def test_every_event_is_accounted_for_and_every_row_is_in_one_window(
    database: Database, new_lander: NewLander, steward: psycopg.Connection, admin: psycopg.Connection
) -> None:
    numbers, landers, batches = count(), (new_lander(), new_lander()), 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.tuples(schedules, schedules))
    def accounts_for(both: tuple[Any, Any]) -> None:
        nonlocal batches
        batches += sum(map(len, both))
        names = {tenant: f"{tenant}-{next(numbers)}" for tenant in TENANTS}
        with admin.cursor() as cursor:
            cursor.executemany(
                "insert into control.tenants (tenant_id, display_name) values (%s, 'a tenant')",
                [(names[tenant],) for tenant in TENANTS if tenant != "unknown"],
            )
        windows = Windows(publisher=publisher, tenants=list(names.values()))
        landing = [
            threads.submit(land, lander, n, schedule, names)
            for n, (lander, schedule) in enumerate(zip(landers, both, strict=True))
        ]
        while wait(landing, timeout=SECONDS_BETWEEN_BOUNDS).not_done:
            windows.take()
        arrived = [arrival for each in landing for arrival in each.result()]
        windows.take_the_rest()
        state = read_state(steward, list(names.values()))
        check_accounts(arrived, state)
        check_windows(windows, state)

    with (
        ThreadPoolExecutor(max_workers=2) as threads,
        database.connect(ServiceRole.PUBLISHER, autocommit=True) as publisher,
    ):
        accounts_for()
    assert batches >= BATCHES_AT_LEAST


def land(
    lander: Lander, number: int, schedule: list[list[tuple[str, int, int]]], names: dict[str, str]
) -> list[Arrival]:
    """Hand the batches over, one after the other."""
    arrived = []
    for position, batch in enumerate(schedule):
        events = [
            event(
                tenant_id=names[tenant],
                event_id=UUID(int=key),
                received_at=MOMENT + timedelta(seconds=position),
                original=f"{number} {position} {content}".encode(),
                **CONTENTS[content],
            )
            for tenant, key, content in batch
        ]
        for sent, (tenant, _, content), landed in zip(events, batch, lander.land(events), strict=True):
            arrived.append(
                Arrival(
                    event=sent, poison=content in POISON, unknown=tenant == "unknown", lander=number, fate=landed.fate
                )
            )
    return arrived


def check_accounts(arrived: list[Arrival], state: State) -> None:
    """The model: given who was stored, everything else follows."""
    by_key: dict[Key, list[Arrival]] = defaultdict(list)
    for arrival in arrived:
        by_key[arrival.event.tenant_id, arrival.event.event_id].append(arrival)
    rows: dict[Key, tuple[Any, ...]] = {}
    letters: Counter[tuple[str, UUID, str, bytes]] = Counter()
    counts: dict[str, Counter[Fate]] = defaultdict(Counter)
    for key, arrivals_of_key in by_key.items():
        stored = first_stored(arrivals_of_key)
        if stored is not None:
            rows[key] = as_row(stored.event)
        for arrival in arrivals_of_key:
            fate, reason = expected(arrival, stored)
            assert arrival.fate is fate
            counts[key[0]][fate] += 1
            if reason is not None:
                letters[(*key, reason, arrival.event.original)] += 1
    assert state.rows == rows
    assert state.letters == letters
    assert state.ledger == {
        tenant: (
            told.total(),
            told[Fate.STORED],
            told[Fate.DUPLICATE],
            told[Fate.CONFLICT] + told[Fate.DEAD_LETTERED],
        )
        for tenant, told in counts.items()
    }


def first_stored(arrivals_of_key: list[Arrival]) -> Arrival | None:
    """The one that was stored: of those that can be, a lander's first."""
    possible = [arrival for arrival in arrivals_of_key if not arrival.poison and not arrival.unknown]
    stored = [arrival for arrival in possible if arrival.fate is Fate.STORED]
    assert len(stored) == bool(possible)
    if not stored:
        return None
    assert stored[0] is next(arrival for arrival in possible if arrival.lander == stored[0].lander)
    return stored[0]


def expected(arrival: Arrival, stored: Arrival | None) -> tuple[Fate, str | None]:
    """The fate of an arrival and the reason of its dead letter."""
    if arrival.unknown:
        return Fate.DEAD_LETTERED, "unknown_tenant"
    if arrival.poison or stored is None:
        return Fate.DEAD_LETTERED, "refused_by_database"
    if arrival is stored:
        return Fate.STORED, None
    if arrival.event.payload_hash == stored.event.payload_hash:
        return Fate.DUPLICATE, None
    return Fate.CONFLICT, "conflict"


def check_windows(windows: Windows, state: State) -> None:
    """Each row was in one window when that was taken, and is in the same one now."""
    assert sum(windows.taken, Counter()) == Counter(state.rows.keys())
    again = [windows.read(start, end) for start, end in zip(windows.bounds, windows.bounds[1:], strict=False)]
    assert again == windows.taken
    assert windows.publisher.execute(BEHIND, (windows.tenants,)).fetchall() == []


def scalar(connection: psycopg.Connection, query: str, parameters: Sequence[Any] = ()) -> str:
    """The one value of a query, as text."""
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return str(row[0])
