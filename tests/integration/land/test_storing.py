"""Inserting first and merging after a taken key come to the same, whatever is in a batch and beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import OffsetsMoved
from pipeline.land import session, storing
from pipeline.land.landing import Lander, StreamLander
from pipeline.stream.delivery import Delivery, Settled
from tests.conftest import NewTenant
from tests.factories import event
from tests.integration.land.deliveries import TOPIC, assert_balanced, deliver, ledger, letters, offsets, record_of
from tests.integration.land.state import as_row, read_state

NewStreamLander = Callable[[], StreamLander]

# 0 is plain, 1 differs from it, 2 cannot be stored, 3 is no event.
contents = st.sampled_from([0, 0, 0, 0, 1, 2, 3])
records = st.tuples(st.integers(0, 2), st.sampled_from(["first", "second", "unknown"]), st.integers(0, 6), contents)
schedules = st.lists(st.lists(records, min_size=1, max_size=8), min_size=1, max_size=14)


@pytest.fixture
def new_stream_lander(database: Database) -> Iterator[NewStreamLander]:
    opened: list[StreamLander] = []

    def open_lander() -> StreamLander:
        opened.append(StreamLander(lambda: database.connect(ServiceRole.LANDER)))
        return opened[-1]

    yield open_lander
    for lander in opened:
        lander.close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which statements stored, one after the other."""
    log: list[str] = []
    run = storing._run

    def logging(connection: psycopg.Connection, statement: str) -> Any:
        log.append("insert" if statement == storing.INSERT else "merge")
        return run(connection, statement)

    monkeypatch.setattr(storing, "_run", logging)
    return log


def test_any_mix_of_batches_comes_to_what_the_model_says_by_either_way(
    new_stream_lander: NewStreamLander, admin: psycopg.Connection, runs: list[str]
) -> None:
    numbers, lander = count(), new_stream_lander()

    @settings(max_examples=80, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(schedules)
    def comes_to(schedule: Any) -> None:
        number = next(numbers)
        topic, tenants = f"t{number}", {name: f"{name}-{number}" for name in ("first", "second", "unknown")}
        add_tenants(admin, tenants["first"], tenants["second"])
        lander.find_offsets(topic, {0: 0, 1: 0, 2: 0})
        at = dict.fromkeys(range(3), 0)
        rows: dict[tuple[str, UUID], Any] = {}
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(tenants.values(), (0, 0, 0, 0))
        kept = 0
        for batch in schedule:
            made = [(partition, record_of(tenants[tenant], key, content)) for partition, tenant, key, content in batch]
            delivery = deliver(*made, at=at, topic=topic)
            settled = lander.land(delivery)
            told = {"stored": 0, "duplicate": 0, "dead_lettered": 0}
            # Events in the order of the delivery, then what is no event.
            for (_, tenant, _, content), (_, made_record) in zip(batch, made, strict=True):
                fate = fate_of(made_record, unknown=tenant == "unknown", content=content, rows=rows)
                told[fate] += 1
                expected[tenants[tenant]] = added(expected[tenants[tenant]], fate)
            kept += told["dead_lettered"]
            assert settled == Settled(**told)
            at |= {partition: move.next for partition, move in delivery.moves.items()}
        state = read_state(admin, list(tenants.values()))
        assert state.rows == rows
        assert {t: c for t, c in ledger(admin).items() if t in expected} == {t: c for t, c in expected.items() if c[0]}
        assert len([letter for letter in letters(admin) if letter[0] == topic]) == kept
        assert {p: offsets(admin)[topic, p] for p in range(3)} == at

    comes_to()
    assert_balanced(admin)
    assert {"insert", "merge"} <= set(runs)


def test_concurrent_consumers_with_resends_after_crashes_count_every_record_once(
    new_stream_lander: NewStreamLander, admin: psycopg.Connection
) -> None:
    """Each lands a partition of its own and now and then hands a delivery over again, or one that another has taken."""
    numbers, landers = count(), (new_stream_lander(), new_stream_lander())

    @settings(max_examples=60, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.tuples(schedules, schedules), st.sets(st.integers(0, 13)))
    def counts_once(both: Any, again: set[int]) -> None:
        number = next(numbers)
        topic, tenants = f"t{number}", {name: f"{name}-{number}" for name in ("first", "second", "unknown")}
        add_tenants(admin, tenants["first"], tenants["second"])
        landers[0].find_offsets(topic, {0: 0, 1: 0})

        def consume(partition: int) -> list[Settled]:
            told, position = [], 0
            for turn, batch in enumerate(both[partition]):
                made = [(partition, record_of(tenants[tenant], key, content)) for _, tenant, key, content in batch]
                delivery = deliver(*made, at={partition: position}, topic=topic)
                told.append(landers[partition].land(delivery))
                position += len(batch)
                if turn in again:
                    assert is_refused(landers[partition], delivery)
            return told

        told = [settled for each in [threads.submit(consume, p) for p in range(2)] for settled in each.result()]
        sent = sum(len(batch) for schedule in both for batch in schedule)
        stored = sum(each.stored for each in told)
        dead_lettered = sum(each.dead_lettered for each in told)
        assert stored + dead_lettered + sum(each.duplicate for each in told) == sent
        possible = {
            (tenants[tenant], UUID(int=key))
            for schedule in both
            for batch in schedule
            for _, tenant, key, content in batch
            if tenant != "unknown" and content in (0, 1)
        }
        assert read_state(admin, list(tenants.values())).rows.keys() == possible
        assert stored == len(possible)
        origins = [letter[1:3] for letter in letters(admin) if letter[0] == topic]
        assert len(origins) == len(set(origins)) == dead_lettered
        counted = [counts for tenant, counts in ledger(admin).items() if tenant in tenants.values()]
        assert [sum(column) for column in zip(*counted, strict=True)] == [
            sent,
            stored,
            sum(each.duplicate for each in told),
            dead_lettered,
        ]

    with ThreadPoolExecutor(max_workers=2) as threads:
        counts_once()
    assert_balanced(admin)


def test_a_taken_key_makes_merges_for_a_while_then_it_is_inserted_again(
    database: Database, new_tenant: NewTenant, runs: list[str]
) -> None:
    new_tenant("acme")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    first = event()
    lander.land([first])
    assert runs == ["insert"]
    runs.clear()
    lander.land([event(), first])
    assert runs == ["insert", "merge"]
    runs.clear()
    for _ in range(20):
        lander.land([event(), event()])
    assert runs == ["merge"] * storing.MERGES_AFTER_A_TAKEN_KEY + ["insert"] * (20 - storing.MERGES_AFTER_A_TAKEN_KEY)
    lander.close()


def test_a_taken_key_met_while_merging_prolongs_it(database: Database, new_tenant: NewTenant, runs: list[str]) -> None:
    new_tenant("acme")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    first = event()
    lander.land([first, first])
    for _ in range(storing.MERGES_AFTER_A_TAKEN_KEY - 1):
        lander.land([event()])
    lander.land([first])
    runs.clear()
    for _ in range(storing.MERGES_AFTER_A_TAKEN_KEY + 1):
        lander.land([event()])
    assert runs == ["merge"] * storing.MERGES_AFTER_A_TAKEN_KEY + ["insert"]
    lander.close()


@pytest.mark.parametrize("merging", [False, True], ids=["inserting", "merging"])
def test_consumers_of_the_same_keys_in_opposite_order_do_not_deadlock(
    new_stream_lander: NewStreamLander,
    new_tenant: NewTenant,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    merging: bool,
) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    new_tenant("acme")
    landers = [new_stream_lander() for _ in range(3)]
    landers[0].find_offsets(TOPIC, {0: 0, 1: 0, 2: 0})
    position, size, rounds = 0, 300, 6
    with ThreadPoolExecutor(max_workers=3) as threads:
        for round_ in range(rounds):
            keys = range(round_ * size, (round_ + 1) * size)
            events = [event(event_id=UUID(int=key)) for key in keys]
            if merging:
                events[-1] = events[0]
            orders = [events, events[::-1], events[size // 2 :] + events[: size // 2]]
            landing = [
                threads.submit(landers[p].land, deliver(*((p, each) for each in orders[p]), at={p: position}))
                for p in range(3)
            ]
            told = [each.result() for each in landing]
            assert sum(each.stored for each in told) == size - merging
            assert sum(each.duplicate for each in told) == 2 * size + merging
            position += size
    assert_balanced(admin)


def add_tenants(admin: psycopg.Connection, *names: str) -> None:
    with admin.cursor() as cursor:
        cursor.executemany(
            "insert into control.tenants (tenant_id, display_name) values (%s, 'a tenant')", [(name,) for name in names]
        )


def fate_of(record: Any, *, unknown: bool, content: int, rows: dict[tuple[str, UUID], Any]) -> str:
    """What becomes of a record, given the rows before it, to which it may add."""
    if unknown or content in (2, 3):
        return "dead_lettered"
    key = (record.tenant_id, record.event_id)
    if key not in rows:
        rows[key] = as_row(record)
        return "stored"
    return "duplicate" if rows[key] == as_row(record) else "dead_lettered"


def added(counts: tuple[int, ...], fate: str) -> tuple[int, ...]:
    return (counts[0] + 1, *(n + (fate == name) for n, name in zip(counts[1:], Settled.__struct_fields__, strict=True)))


def is_refused(lander: StreamLander, delivery: Delivery) -> bool:
    try:
        lander.land(delivery)
    except OffsetsMoved:
        return True
    return False


def test_what_is_suspected_wrongly_is_stored_and_keeps_its_place_before_others_of_its_key(
    new_stream_lander: NewStreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    lander = new_stream_lander()
    lander.find_offsets(TOPIC, {0: 0})
    poison = event(properties=b'{"a":"\\u0000"}', original=b"poison")
    assert lander.land(deliver((0, event()), (0, poison))) == Settled(stored=1, dead_lettered=1)
    # Six characters that only look like the escaped one.
    suspect = event(properties=b'{"a":"\\\\u0000"}')
    later = event(event_id=suspect.event_id, original=b"later")
    delivery = deliver((0, suspect), (0, event()), (0, later), (0, poison), (0, suspect), at={0: 2})
    assert lander.land(delivery) == Settled(stored=2, duplicate=1, dead_lettered=2)
    [row] = admin.execute(
        "select payload_hash from raw.usage_events where event_id = %s", (suspect.event_id,)
    ).fetchall()
    assert row == (suspect.payload_hash,)
    assert [letter[2:6] for letter in letters(admin)] == [
        (1, "acme", "refused_by_database", b"poison"),
        (4, "acme", "conflict", b"later"),
        (5, "acme", "refused_by_database", b"poison"),
    ]
    assert_balanced(admin)
