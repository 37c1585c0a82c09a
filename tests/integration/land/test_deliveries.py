"""Deliveries of a stream: rows, dead letters, counts and offsets move together, once, for one consumer alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from math import ceil, log2
from uuid import UUID

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable, OffsetsMoved
from pipeline.land import arrivals
from pipeline.land.dead_letters import NO_TENANT
from pipeline.land.landing import StreamLander
from pipeline.stream.delivery import Delivery, Move, Settled
from tests.conftest import NewTenant
from tests.factories import MOMENT, event
from tests.integration.land.deliveries import (
    TOPIC,
    Junk,
    Record,
    assert_balanced,
    deliver,
    everything,
    ledger,
    letters,
    offsets,
)
from tests.integration.land.waiting import wait_until

POISON = event(user_id="poison\0", original=b"poison")
LATER = MOMENT + timedelta(hours=2)
WAITING_LANDERS = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = 'workbench_lander' and wait_event_type = 'Lock'
"""
TEN_THOUSAND = 10_000

NewStreamLander = Callable[[], StreamLander]


@pytest.fixture(autouse=True)
def _tenants(new_tenant: NewTenant) -> None:
    new_tenant("acme")
    new_tenant("globex")


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
def lander(new_stream_lander: NewStreamLander) -> StreamLander:
    """A lander of partitions 0 to 2, of which nothing has landed."""
    lander = new_stream_lander()
    lander.find_offsets(TOPIC, {0: 0, 1: 0, 2: 0})
    return lander


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool


def test_rows_letters_counts_and_offsets_are_those_of_the_delivery(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    first, other = event(), event(tenant_id="globex", received_at=LATER)
    changed = event(event_id=first.event_id, user_id="other", original=b"changed")
    delivery = deliver(
        (0, first),
        (1, other),
        (0, Junk(b"\xff\0", received_at=LATER)),
        (0, first),
        (1, changed),
        (0, POISON),
        (1, event(tenant_id="nobody", original=b"stranger")),
        (1, Junk(b"", key="No Tenant\0")),
    )
    assert lander.land(delivery) == Settled(stored=2, duplicate=1, dead_lettered=5)
    assert letters(admin) == [
        (TOPIC, 0, 1, "acme", "undecodable", b"\xff\0", None),
        (TOPIC, 0, 3, "acme", "refused_by_database", b"poison", None),
        (TOPIC, 1, 1, "acme", "conflict", b"changed", None),
        (TOPIC, 1, 2, "nobody", "unknown_tenant", b"stranger", None),
        (TOPIC, 1, 3, NO_TENANT, "undecodable", b"", None),
    ]
    assert offsets(admin) == {(TOPIC, 0): 4, (TOPIC, 1): 4, (TOPIC, 2): 0}
    assert ledger(admin) == {
        "acme": (5, 1, 1, 3),
        "globex": (1, 1, 0, 0),
        "nobody": (1, 0, 0, 1),
        NO_TENANT: (1, 0, 0, 1),
    }
    assert_balanced(admin)


@pytest.mark.parametrize(
    "records", [[Junk(), Junk()], [POISON], [event(tenant_id="nobody")]], ids=["junk", "poison", "strangers"]
)
def test_a_delivery_without_a_row_moves_its_offsets_too(
    lander: StreamLander, admin: psycopg.Connection, records: list[Record]
) -> None:
    settled = lander.land(deliver(*((1, each) for each in records)))
    assert settled == Settled(dead_lettered=len(records))
    assert offsets(admin)[TOPIC, 1] == len(records)
    assert_balanced(admin)


@pytest.mark.parametrize(
    "stale",
    [{0: 1, 1: 1}, {0: 3, 1: 1}, {0: 2, 1: 0}, {0: 2, 1: 2}, {0: 0, 1: 0}, {0: 2, 1: 1, 7: 0}],
    ids=["behind", "ahead", "the other behind", "the other ahead", "all over again", "a partition nobody knows"],
)
def test_a_delivery_with_one_stale_offset_leaves_nothing_behind(
    lander: StreamLander, admin: psycopg.Connection, stale: dict[int, int]
) -> None:
    lander.land(deliver((0, event()), (1, Junk()), (0, event())))
    before = everything(admin)
    records: list[Record] = [event(), POISON, Junk(b"more"), event(tenant_id="nobody")]
    delivery = deliver(*((partition, each) for partition in stale for each in records), at=stale)
    with pytest.raises(OffsetsMoved):
        lander.land(delivery)
    assert everything(admin) == before
    lander.land(deliver((0, event()), (1, event()), at={0: 2, 1: 1}))
    assert_balanced(admin)


def test_a_delivery_that_landed_is_not_landed_again_by_whoever_did_not_hear_of_it(
    lander: StreamLander, new_stream_lander: NewStreamLander, admin: psycopg.Connection
) -> None:
    delivery = deliver((0, event()), (0, POISON), (1, Junk()))
    lander.land(delivery)
    before = everything(admin)
    for each in (lander, new_stream_lander()):
        with pytest.raises(OffsetsMoved):
            each.land(delivery)
    assert everything(admin) == before


def test_topics_have_offsets_of_their_own(lander: StreamLander, admin: psycopg.Connection) -> None:
    lander.find_offsets("other", {0: 5})
    lander.land(deliver((0, Junk()), at={0: 5}, topic="other"))
    with pytest.raises(OffsetsMoved):
        lander.land(deliver((0, Junk()), at={0: 5}))
    assert offsets(admin) == {(TOPIC, 0): 0, (TOPIC, 1): 0, (TOPIC, 2): 0, ("other", 0): 6}


def test_of_landers_that_race_for_a_delivery_exactly_one_wins(
    lander: StreamLander, new_stream_lander: NewStreamLander, threads: ThreadPoolExecutor, admin: psycopg.Connection
) -> None:
    landers = [lander, *(new_stream_lander() for _ in range(3))]
    for round_ in range(12):
        # Whoever goes through the partitions the other way around must not make them deadlock.
        at = dict.fromkeys((0, 1, 2), round_)
        records: list[tuple[int, Record]] = [(0, event()), (1, event(original=b"1")), (2, Junk())]
        deliveries = [deliver(*(records if n % 2 else records[::-1]), at=at) for n in range(len(landers))]
        landing = [threads.submit(outcome, each, one) for each, one in zip(landers, deliveries, strict=True)]
        told = [each.result() for each in landing]
        assert [each for each in told if each is not OffsetsMoved] == [Settled(stored=2, dead_lettered=1)]
        assert ledger(admin)["acme"] == (3 * (round_ + 1), 2 * (round_ + 1), 0, round_ + 1)
    assert_balanced(admin)


@pytest.mark.parametrize("commits", [True, False], ids=["the first wins", "the first is undone"])
def test_a_lander_waits_for_one_in_the_middle_of_the_same_delivery_and_takes_over_if_that_fails(
    lander: StreamLander,
    new_stream_lander: NewStreamLander,
    threads: ThreadPoolExecutor,
    database: Database,
    admin: psycopg.Connection,
    commits: bool,
) -> None:
    zombie = new_stream_lander()
    lander.land(deliver((0, event())))
    delivery = deliver((0, event()), (0, Junk()), at={0: 1})
    with database.connect_admin(autocommit=True) as blocker:
        with blocker.transaction():
            # Held up at its very end, with rows, letters and offsets written.
            blocker.execute("select from control.landing_progress where tenant_id = 'acme' for update")
            held = threads.submit(outcome, zombie, delivery)
            wait_for_landers(admin, 1)
            following = threads.submit(outcome, lander, delivery)
            wait_for_landers(admin, 2)
            if not commits:
                admin.execute(
                    "select pg_terminate_backend(l.pid) from pg_locks as l "
                    "where not l.granted and l.locktype = 'transactionid' and l.pid in "
                    "(select pid from pg_stat_activity where query like '%landing_progress%' "
                    "and usename = 'workbench_lander')"
                )
                assert held.result(20) is DatabaseUnavailable
        stored = Settled(stored=1, dead_lettered=1)
        assert (held.result(20), following.result(20)) == (
            (stored, OffsetsMoved) if commits else (DatabaseUnavailable, stored)
        )
    assert offsets(admin)[TOPIC, 0] == 3
    assert ledger(admin) == {"acme": (3, 2, 0, 1)}
    assert_balanced(admin)


def test_a_zombie_that_wakes_after_its_successor_has_gone_on_stores_nothing(
    lander: StreamLander, new_stream_lander: NewStreamLander, threads: ThreadPoolExecutor, admin: psycopg.Connection
) -> None:
    """It is held up in front of its transaction's end, by a lock on the offsets that its successor moves."""
    zombie = new_stream_lander()
    delivery = deliver((0, event()), (0, POISON), (0, Junk()))
    with psycopg.connect(admin.info.dsn, autocommit=True) as blocker:
        with blocker.transaction():
            blocker.execute("select from control.stream_offsets for update")
            held = threads.submit(outcome, zombie, delivery)
            wait_for_landers(admin, 1)
            # What the successor does, in the blocker's place.
            blocker.execute("update control.stream_offsets set next_offset = 2 where partition = 0")
        assert held.result(20) is OffsetsMoved
    assert everything(admin)["rows"] == everything(admin)["letters"] == everything(admin)["ledger"] == []
    assert offsets(admin)[TOPIC, 0] == 2
    assert lander.land(deliver((0, event()), at={0: 2})) == Settled(stored=1)


def test_a_delivery_that_fails_in_the_middle_leaves_nothing_and_can_be_handed_over_again(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    admin.execute("""
        create function public.fail() returns trigger language plpgsql as
            'begin raise exception ''gone'' using errcode = ''admin_shutdown''; end';
        create trigger fails before insert on control.ingest_ledger for each row execute function public.fail()
    """)
    before = everything(admin)
    delivery = deliver((0, event()), (0, POISON), (1, Junk()))
    with pytest.raises(DatabaseUnavailable):
        lander.land(delivery)
    assert everything(admin) == before
    admin.execute("drop trigger fails on control.ingest_ledger")
    assert lander.land(delivery) == Settled(stored=1, dead_lettered=2)
    assert_balanced(admin)


def test_a_topic_that_was_made_anew_has_letters_of_its_own(lander: StreamLander, admin: psycopg.Connection) -> None:
    """Its records have the offsets of earlier ones, which are other records."""
    lander.land(deliver((0, Junk(b"old")), (0, event(user_id="\0", original=b"old poison"))))
    lander.restart(TOPIC, {0: Move(expected=2, next=0)})
    settled = lander.land(deliver((0, Junk(b"new")), (0, event(user_id="\0", original=b"new poison"))))
    assert settled == Settled(dead_lettered=2)
    assert sorted(letter[5] for letter in letters(admin)) == [b"new", b"new poison", b"old", b"old poison"]
    assert_balanced(admin)


@pytest.mark.parametrize("position", [0, 4_321, TEN_THOUSAND - 1])
def test_one_poison_event_in_ten_thousand_costs_a_few_statements_and_none_of_its_neighbours(
    database: Database, admin: psycopg.Connection, position: int
) -> None:
    statements: list[str] = []

    class Counting(psycopg.Cursor[tuple[object, ...]]):
        def execute(self, query, *arguments, **named):  # type: ignore[no-untyped-def]
            statements.append(str(query))
            return super().execute(query, *arguments, **named)

        def copy(self, statement, *arguments, **named):  # type: ignore[no-untyped-def]
            statements.append(str(statement))
            return super().copy(statement, *arguments, **named)

    def connect() -> psycopg.Connection:
        connection = database.connect(ServiceRole.LANDER)
        connection.cursor_factory = Counting
        return connection

    lander = StreamLander(connect)
    lander.find_offsets(TOPIC, {0: 0})
    lander.land(deliver((0, event())))
    statements.clear()
    clean = [event() for _ in range(TEN_THOUSAND)]
    lander.land(deliver(*((0, each) for each in clean), at={0: 1}))
    usual = len(statements)
    statements.clear()
    events = [event() for _ in range(TEN_THOUSAND)]
    events[position] = POISON
    settled = lander.land(deliver(*((0, each) for each in events), at={0: 1 + TEN_THOUSAND}))
    lander.close()
    assert settled == Settled(stored=TEN_THOUSAND - 1, dead_lettered=1)
    assert letters(admin) == [(TOPIC, 0, 1 + TEN_THOUSAND + position, "acme", "refused_by_database", b"poison", None)]
    assert len(statements) - usual <= 2 * ceil(log2(TEN_THOUSAND))
    assert_balanced(admin)


STOPPED = """
import sys
from uuid import UUID

import msgspec

from pipeline.core.database import Database, ServiceRole
from pipeline.land import batch, session
from pipeline.land.landing import StreamLander
from tests.factories import event
from tests.integration.land.deliveries import TOPIC, deliver

def stop_here():
    print("here", flush=True)
    sys.stdin.read()

class Stopping(list):
    def __getitem__(self, position):
        if position == STOP_AT:
            stop_here()
        return super().__getitem__(position)

def keep(*arguments):
    if STOP_AT is None:
        stop_here()
    return kept(*arguments)

session.END_WHEN_IDLE = session.END_WHEN_IDLE.replace("'15s'", "'1s'")
kept, batch.dead_letters.keep = batch.dead_letters.keep, keep
STOP_AT = int(sys.argv[2]) if sys.argv[2] else None
lander = StreamLander(lambda: Database(admin_url=sys.argv[1]).connect(ServiceRole.LANDER))
lander.find_offsets(TOPIC, {0: 0})
delivery = deliver(*((0, event(event_id=UUID(int=n))) for n in range(1, 10_001)))
delivery = msgspec.structs.replace(delivery, events=Stopping(delivery.events))
try:
    lander.land(delivery)
except Exception as error:
    print(type(error).__name__, flush=True)
"""
HOLDING = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = 'workbench_lander' and backend_xid is not null
"""


@contextmanager
def stopped_lander(database: Database, stop_at: str) -> Iterator[subprocess.Popen[str]]:
    """A process that lands ten thousand events of partition 0 and is stopped in the middle of it."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, database.admin_url, stop_at],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "here\n"
            os.kill(process.pid, signal.SIGSTOP)
            yield process
            os.kill(process.pid, signal.SIGCONT)
            process.stdin.close()
            assert process.stdout.readline() == "DatabaseUnavailable\n"
        finally:
            process.kill()


def test_a_process_stopped_between_two_statements_holds_the_others_up_for_a_bounded_time(
    new_stream_lander: NewStreamLander, database: Database, admin: psycopg.Connection
) -> None:
    with stopped_lander(database, ""):
        began = time.monotonic()
        # The same key and the same offset.
        settled = new_stream_lander().land(deliver((0, event(event_id=UUID(int=1))), (0, event())))
        assert settled == Settled(stored=2)
        assert time.monotonic() - began < 10
    assert offsets(admin)[TOPIC, 0] == 2
    assert_balanced(admin)


def test_a_process_stopped_in_the_middle_of_copying_is_ended_by_whoever_takes_its_partitions(
    new_stream_lander: NewStreamLander,
    database: Database,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stopped_lander(database, "9000"):
        new_stream_lander().find_offsets(TOPIC, {0: 0})
        assert admin.execute(HOLDING).fetchone() == (1,), "it has not been silent for long"
        monkeypatch.setattr(arrivals, "PATIENCE", timedelta(0))
        new_stream_lander().find_offsets(TOPIC, {0: 0})
        wait_until(lambda: admin.execute(HOLDING).fetchone() == (0,), what="the stopped lander to be ended", seconds=8)
    assert everything(admin)["rows"] == []


def test_a_lander_that_says_nothing_for_a_quarter_of_a_minute_is_given_up(database: Database) -> None:
    opened: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection:
        opened.append(database.connect(ServiceRole.LANDER))
        return opened[-1]

    lander = StreamLander(connect)
    lander.find_offsets(TOPIC, {0: 0})
    assert opened[0].execute("show idle_in_transaction_session_timeout").fetchone() == ("15s",)
    lander.close()


def outcome(lander: StreamLander, delivery: Delivery) -> object:
    """What came of it, or the kind of the error."""
    try:
        return lander.land(delivery)
    except (OffsetsMoved, DatabaseUnavailable) as error:
        return type(error)


def wait_for_landers(admin: psycopg.Connection, number: int) -> None:
    """Wait until so many landers of this database wait for a lock."""
    wait_until(
        lambda: admin.execute(WAITING_LANDERS).fetchone() == (number,), what=f"{number} landers to wait for a lock"
    )
