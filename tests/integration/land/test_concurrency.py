"""Landers beside each other, beside a promotion, and on a connection that breaks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.events import Event, Fate
from pipeline.land import session
from pipeline.land.landing import Lander
from tests.conftest import NewTenant
from tests.factories import event
from tests.integration.land.conftest import NewLander
from tests.integration.land.state import fates_of, read_state
from tests.integration.land.waiting import wait_until

WAITING_LANDERS = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = 'workbench_lander' and wait_event_type = 'Lock'
"""
HOLD_ACME_UP = "select from control.landing_progress where tenant_id = 'acme' for update"
BOUND = "select pg_snapshot_xmin(pg_current_snapshot())::text"
COPY_ROW = """
insert into raw.usage_events
select
    tenant_id, %(event_id)s as event_id, event_type, occurred_at, received_at,
    user_id, session_id, properties, payload_hash
from raw.usage_events
"""
LATEST = "select max(landed_xid)::text from raw.usage_events"
PROGRESS = "select landed_xid::text from control.landing_progress"
WINDOW = "select event_id from raw.usage_events where landed_xid >= %s::xid8 and landed_xid < %s::xid8"


@pytest.fixture(autouse=True)
def _tenants(new_tenant: NewTenant) -> None:
    new_tenant("acme")
    new_tenant("globex")


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield pool


@pytest.fixture
def blocker(database: Database) -> Iterator[psycopg.Connection]:
    """Somebody who holds landings up at their very end, with their rows written and not committed."""
    with database.connect_admin(autocommit=True) as connection:
        yield connection


@pytest.fixture
def publisher(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(ServiceRole.PUBLISHER, autocommit=True) as connection:
        yield connection


def test_a_landing_that_finishes_out_of_order_is_in_no_window_before_it_is_in_one(
    new_lander: NewLander,
    thread: ThreadPoolExecutor,
    admin: psycopg.Connection,
    blocker: psycopg.Connection,
    publisher: psycopg.Connection,
) -> None:
    slow, quick = new_lander(), new_lander()
    first, began_first, ended_first = event(), event(), event()
    slow.land([first])
    bounds, windows = ["0"], []

    def take_window() -> None:
        bounds.append(scalar(publisher, BOUND))
        windows.append({row[0] for row in publisher.execute(WINDOW, bounds[-2:])})

    with blocker.transaction(force_rollback=True):
        # Somebody else is at the same key, so the landing waits in the middle.
        blocker.execute(COPY_ROW, {"event_id": began_first.event_id})
        landing_slowly = thread.submit(slow.land, [began_first])
        wait_for_landers(admin, 1)
        assert fates_of(quick.land([ended_first])) == [Fate.STORED]
        take_window()
    assert fates_of(landing_slowly.result()) == [Fate.STORED]
    take_window()
    assert windows == [{first.event_id}, {began_first.event_id, ended_first.event_id}]
    assert scalar(publisher, PROGRESS) == scalar(publisher, LATEST), "the landing that ended last began first"


def test_landers_of_the_same_keys_in_opposite_order_wait_and_do_not_deadlock(
    new_lander: NewLander,
    thread: ThreadPoolExecutor,
    admin: psycopg.Connection,
    blocker: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    first, second = new_lander(), new_lander()
    first.land([event()])
    events = [event(event_id=UUID(int=key)) for key in range(11)]
    with blocker.transaction(force_rollback=True):
        # Both come to a halt in the middle: unsorted, each would hold what the other needs next.
        blocker.execute(COPY_ROW, {"event_id": events[5].event_id})
        landing_both = [thread.submit(first.land, events), thread.submit(second.land, events[::-1])]
        wait_for_landers(admin, 2)
    fates = [fate for each in landing_both for fate in fates_of(each.result())]
    assert (fates.count(Fate.STORED), fates.count(Fate.DUPLICATE)) == (11, 11)


def test_landers_of_the_same_tenants_in_opposite_order_wait_and_do_not_deadlock(
    new_lander: NewLander,
    thread: ThreadPoolExecutor,
    admin: psycopg.Connection,
    blocker: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "ATTEMPTS", 1)
    first, second = new_lander(), new_lander()
    first.land([event(), event(tenant_id="globex")])
    with blocker.transaction():
        blocker.execute("select from control.ingest_ledger where tenant_id = 'acme' for update")
        landing_first = thread.submit(first.land, [event(), event(tenant_id="globex")])
        wait_for_landers(admin, 1)
        landing_second = thread.submit(second.land, [event(tenant_id="globex"), event()])
        wait_for_landers(admin, 2)
    assert fates_of([*landing_first.result(), *landing_second.result()]) == [Fate.STORED] * 4


def test_a_concurrent_lander_sees_a_conflict_in_what_the_other_commits_while_it_waits(
    new_lander: NewLander, thread: ThreadPoolExecutor, admin: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    first, second = new_lander(), new_lander()
    first.land([event()])
    key = UUID(int=1)
    with blocker.transaction():
        blocker.execute(HOLD_ACME_UP)
        landing_first = thread.submit(first.land, [event(event_id=key)])
        wait_for_landers(admin, 1)
        landing_second = thread.submit(second.land, [event(event_id=key), event(event_id=key, user_id="other")])
        wait_for_landers(admin, 2)
    assert fates_of(landing_first.result()) == [Fate.STORED]
    assert fates_of(landing_second.result()) == [Fate.DUPLICATE, Fate.CONFLICT]


@pytest.mark.parametrize(("failures", "lands"), [(2, True), (3, False)])
def test_a_transaction_that_loses_against_another_is_tried_three_times(
    lander: Lander, admin: psycopg.Connection, steward: psycopg.Connection, failures: int, lands: bool
) -> None:
    # A sequence counts the tries: it does not roll back with them.
    admin.execute("""
        create sequence public.tries;
        create function public.lose() returns trigger language plpgsql security definer as $$
        begin
            if nextval('public.tries') <= tg_argv[0]::int then
                raise exception 'lost' using errcode = 'deadlock_detected';
            end if;
            return new;
        end $$
    """)
    admin.execute(
        "create trigger loses before insert on control.landing_progress "
        f"for each row execute function public.lose({failures})"
    )
    if lands:
        assert fates_of(lander.land([event()])) == [Fate.STORED]
        return
    with pytest.raises(DatabaseUnavailable, match="3 times in a row"):
        lander.land([event()])
    assert not read_state(steward, ["acme"]).rows
    assert fates_of(lander.land([event()])) == [Fate.STORED]


def test_a_lost_connection_acknowledges_nothing_and_the_next_call_has_another(
    lander: Lander,
    thread: ThreadPoolExecutor,
    admin: psycopg.Connection,
    blocker: psycopg.Connection,
    steward: psycopg.Connection,
) -> None:
    lander.land([event()])
    batch: list[Event] = [event() for _ in range(3)]
    with blocker.transaction():
        blocker.execute(HOLD_ACME_UP)
        landing_batch = thread.submit(lander.land, batch)
        wait_for_landers(admin, 1)
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'workbench_lander'")
        with pytest.raises(DatabaseUnavailable, match="administrator command"):
            landing_batch.result()
    assert len(read_state(steward, ["acme"]).rows) == 1
    assert fates_of(lander.land(batch)) == [Fate.STORED] * 3
    assert read_state(steward, ["acme"]).ledger == {"acme": (4, 4, 0, 0)}


def wait_for_landers(admin: psycopg.Connection, number: int) -> None:
    """Wait until so many landers of this database wait for a lock."""
    wait_until(lambda: scalar(admin, WAITING_LANDERS) == str(number), what=f"{number} landers to wait for a lock")


def scalar(connection: psycopg.Connection, query: str) -> str:
    """The one value of a query, as text."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])
