"""Readers while promotions publish: figures agree at every moment, and nobody waits for anybody.

The promotions are real but for dbt, which would be most of the time: a builder fills the candidate tables
of three marts by SQL. Hundreds of them in `make long`, sealed, judged by script, published.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.tenants import tenant_login
from pipeline.promote.build import Builder
from tests.integration.promote.world import World

TENANTS = ("reads-a", "reads-b")
EVENTS = 6
PAUSE_SECONDS = 0.005

AS_ANALYST = (
    "select count(*) from marts.fct_usage_events where tenant_id like 'reads-%'",
    "select coalesce(sum(events), 0)::bigint from marts.tenant_usage_metrics where tenant_id like 'reads-%'",
)
AS_TENANT = (
    "select count(*) from analytics.fct_usage_events",
    "select coalesce(sum(events), 0)::bigint from analytics.tenant_usage_metrics",
)

# What the models make of a window, in the fewest statements. `promotion_window` is the open promotion's.
FILL = """
truncate candidate.fct_usage_events, candidate.fct_user_activity, candidate.tenant_usage_metrics;
insert into candidate.fct_usage_events
select
    e.tenant_id, e.event_id, e.event_type, e.occurred_at, (e.occurred_at at time zone 'UTC')::date, e.received_at,
    extract(epoch from e.received_at - e.occurred_at)::double precision, e.user_id, e.session_id, e.properties
from control.promotion_window as w
inner join raw.usage_events as e
    on e.tenant_id = w.tenant_id and e.landed_xid >= w.from_xid and e.landed_xid < w.bound_xid;
insert into candidate.tenant_usage_metrics (tenant_id, day, event_type, events, active_users)
select f.tenant_id, f.occurred_on, f.event_type, count(*) + coalesce(max(m.events), 0), 1
from candidate.fct_usage_events as f
left join marts.tenant_usage_metrics as m
    on m.tenant_id = f.tenant_id and m.day = f.occurred_on and m.event_type = f.event_type
group by f.tenant_id, f.occurred_on, f.event_type;
"""

LOCKS = """
select n.nspname || '.' || c.relname
from pg_locks as l
inner join pg_class as c on c.oid = l.relation
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_stat_activity as a on a.pid = l.pid
where
    l.database = (select oid from pg_database where datname = current_database())
    and n.nspname in ('marts', 'analytics', 'cache')
    and a.backend_type = 'client backend'
    and (l.mode = 'AccessExclusiveLock' or not l.granted)
"""


class Loop:
    """Calls `once` until the block ends, in a thread; what it raises fails the block."""

    def __init__(self, once: Callable[[], None]) -> None:
        self._once = once
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self.rounds = 0

    def _run(self) -> None:
        try:
            # Readers that never pause would take both cores from what they watch.
            while not self._over.wait(PAUSE_SECONDS):
                self._once()
                self.rounds += 1
        except BaseException as failure:  # noqa: BLE001 - told by the block
            self._failure = failure

    @contextmanager
    def running(self) -> Iterator[None]:
        """Loop for as long as the block takes."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30)
        if self._failure is not None:
            raise self._failure


def compare(connection: psycopg.Connection, queries: tuple[str, str], *, together: bool) -> Callable[[], None]:
    """Asks for the facts and for the sum of the metrics, in one statement or in two of a snapshot."""
    facts, metrics = queries
    connection.isolation_level = None if together else psycopg.IsolationLevel.REPEATABLE_READ

    def once() -> None:
        if together:
            found = connection.execute(f"select ({facts}), ({metrics})".encode()).fetchall()[0]
        else:
            with connection.transaction():
                found = tuple(connection.execute(query.encode()).fetchall()[0][0] for query in queries)
        assert found[0] > 0, "an empty read"
        assert found[0] == found[1], f"{found[0]} facts, {found[1]} in the metrics"

    return once


def look_for_locks(admin: psycopg.Connection) -> Callable[[], None]:
    """Fails on a lock that keeps readers out, and on anybody who waits for a lock."""

    def once() -> None:
        found = admin.execute(LOCKS).fetchall()
        assert not found, f"locked or waited for: {found}"

    return once


@pytest.fixture
def quick(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world after one promotion by dbt, whose builder fills the candidates by SQL from then on."""
    if world.value("select count(*) from control.tenants where tenant_id = any(%s)", list(TENANTS)) == 0:
        world.tenants(*TENANTS)
    for tenant in TENANTS:
        world.land(tenant, EVENTS)
    world.promote(tenants=TENANTS)
    transformer = world.database.connect(ServiceRole.TRANSFORMER)

    def fill(_: Builder, *, models_fingerprint: str) -> None:  # noqa: ARG001
        transformer.execute(FILL.encode())
        transformer.commit()

    monkeypatch.setattr(Builder, "build", fill)
    return world


@contextmanager
def readers(world: World) -> Iterator[list[Loop]]:
    """All four ways to read in a loop, and a look-out for locks, for as long as the block takes."""
    with ExitStack() as stack:
        loops = []
        login = world.database.login_url(tenant_login(world.database, TENANTS[0]))
        for together in (True, False):
            analyst = stack.enter_context(world.database.connect(ServiceRole.BI, autocommit=True))
            tenant = stack.enter_context(connect(login, autocommit=True, application="tests"))
            loops += [Loop(compare(analyst, AS_ANALYST, together=together))]
            loops += [Loop(compare(tenant, AS_TENANT, together=together))]
        admin = stack.enter_context(world.database.connect_admin(autocommit=True))
        loops.append(Loop(look_for_locks(admin)))
        for loop in loops:
            stack.enter_context(loop.running())
        yield loops


def promote_once(world: World) -> float:
    """Land a little for both, promote it, and tell for how many seconds the promotion published."""
    for tenant in TENANTS:
        world.land(tenant, EVENTS)
    promotion = world.promote(tenants=TENANTS)
    assert promotion.promoted == dict.fromkeys(TENANTS, EVENTS)
    return promotion.seconds["publish"]


def facts(database: Database) -> int:
    """How many facts of both are published."""
    with database.connect(ServiceRole.BI, autocommit=True) as connection:
        return int(connection.execute(AS_ANALYST[0].encode()).fetchall()[0][0])


@pytest.mark.parametrize("promotions", [20, pytest.param(200, marks=pytest.mark.long)])
def test_no_number_of_promotions_ever_shows_a_reader_figures_that_disagree(quick: World, promotions: int) -> None:
    before = facts(quick.database)
    with readers(quick) as loops:
        for _ in range(promotions):
            promote_once(quick)
    assert facts(quick.database) == before + promotions * len(TENANTS) * EVENTS
    assert all(loop.rounds >= promotions for loop in loops), [loop.rounds for loop in loops]
    print(f"{promotions} promotions, reads: {[loop.rounds for loop in loops]}")


@pytest.mark.parametrize("open_seconds", [4, pytest.param(30, marks=pytest.mark.long)])
def test_no_promotion_waits_for_a_transaction_that_stays_open_nor_do_later_readers(
    quick: World, open_seconds: int
) -> None:
    """And the open one goes on seeing what it saw."""
    with quick.database.connect(ServiceRole.BI, autocommit=True) as slow:
        slow.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with slow.transaction(), readers(quick):
            seen = [slow.execute(query.encode()).fetchall()[0][0] for query in AS_ANALYST]
            ends = time.monotonic() + open_seconds
            published = []
            while time.monotonic() < ends:
                published.append(promote_once(quick))
            assert [slow.execute(query.encode()).fetchall()[0][0] for query in AS_ANALYST] == seen
        assert facts(quick.database) == seen[0] + len(published) * len(TENANTS) * EVENTS
    assert len(published) >= 3
    print(f"{len(published)} promotions beside a reader open for {open_seconds} s, longest {max(published):.2f} s")
