"""kill -9 of API, database, promotion and supervisor during an import: three promises at once.

"Acknowledged means durable, and counted exactly once", and "readers only ever see checked data",
all of a promotion or nothing of it. The server has its settings as shipped. `make chaos` kills more.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from threading import Event as Signal
from typing import Any

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.key_register import create_key
from pipeline.core.tenants import add_tenant, tenant_login
from tests.acceptance.killing import Killer, plan, wait_for
from tests.acceptance.stack import UserStack
from tests.acceptance.traffic import Book, Client, Event, Id
from tests.acceptance.watching import Sight, look_across_marts, look_at_own_marts, watch

TENANTS = ("acme", "globex", "initech")
CLIENTS = 2

NOT_PUBLISHED = "select (select count(*) from raw.usage_events) - (select count(*) from marts.fct_usage_events)"
RAW = "select tenant_id, event_id::text, event_type, occurred_at, user_id, session_id from raw.usage_events"
LEDGER = """
select tenant_id, sum(accepted)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int
from control.ingest_ledger group by tenant_id
"""
DEAD_LETTERS = "select tenant_id, count(*) from raw.dead_letters group by tenant_id"
USAGE = "select tenant_id, day, event_type, events, active_users from marts.tenant_usage_metrics"
ENDINGS = "select state, count(*) from control.promotions group by state"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[UserStack]:
    """A stack that promotes without pause."""
    stack = UserStack(tmp_path, promote_every_seconds=1)
    try:
        stack.ensure_started()
        yield stack
    finally:
        stack.end()


def test_kill_nine_at_any_moment_loses_nothing_doubles_nothing_and_shows_no_half_promotion(
    stack: UserStack, kills: int, seed: int
) -> None:
    started, random = time.monotonic(), Random(seed)
    clients = clients_of(stack, random)
    working: list[Future[Any]] = []
    killer = Killer(
        stack,
        random,
        acknowledged=lambda: sum(len(client.book.acknowledged) for client in clients),
        check=lambda: [work.result() for work in working if work.done()],
    )
    with readers(stack.server) as watches:
        with ThreadPoolExecutor(CLIENTS) as pool, ExitStack() as ending:
            enough = Signal()
            ending.callback(enough.set)
            sending = [pool.submit(client.send_until, enough) for client in clients]
            working += [*sending, *watches]
            for target, moment in plan(kills, random):
                killer.kill(target, moment)
            killer.see_recovery()
        books = [work.result() for work in sending]
        wait_for(
            lambda: is_all_published(stack.server),
            "the marts to hold everything",
            look_every_seconds=0.25,
            told=stack.last_lines,
        )
        promotion = stack.workbench.json("promote", "--full-refresh")
    sights = [work.result() for work in watches]
    print_figures(killer, books, sights, stack.server, time.monotonic() - started)

    assert_raw_is_what_was_acknowledged(stack.server, books)
    assert_the_ledger_adds_up(stack.server, books)
    # The whole computation from raw data, and a count of our own, find what the interrupted ones left.
    assert not any([*promotion["rows_written"].values(), *promotion["rows_deleted"].values()]), promotion
    assert sorted(ask(stack.server, USAGE)) == sorted(usage(acknowledged(books)))
    assert killer.killed.total() == kills
    assert all(len(sight.totals) >= 3 for sight in sights), "nothing, what was there in between, everything"


def clients_of(stack: UserStack, random: Random) -> list[Client]:
    """Clients with a key for every tenant."""
    now = datetime.now(UTC).replace(microsecond=0)
    for tenant in TENANTS:
        add_tenant(stack.server, tenant)
    keys = {tenant: create_key(stack.server, tenant) for tenant in TENANTS}
    return [Client(keys, lambda: stack.last_url, Random(random.random()), now) for _ in range(CLIENTS)]


@contextmanager
def readers(database: Database) -> Iterator[list[Future[Sight]]]:
    """A reader of everything and one of a tenant's own, who look on while the block runs."""
    enough = Signal()
    login = database.login_url(tenant_login(database, TENANTS[0]))

    def as_steward() -> psycopg.Connection:
        return database.connect(ServiceRole.STEWARD, autocommit=True)

    def as_tenant() -> psycopg.Connection:
        return connect(login, application="acceptance")

    with ThreadPoolExecutor(2) as pool, ExitStack() as ending:
        ending.callback(enough.set)
        yield [
            pool.submit(watch, as_steward, look_across_marts, enough),
            pool.submit(watch, as_tenant, look_at_own_marts, enough),
        ]


def is_all_published(database: Database) -> bool:
    """Whether the marts hold every raw row; not, while the database is still away."""
    try:
        return ask(database, NOT_PUBLISHED) == [(0,)]
    except DatabaseUnavailable:
        return False


def acknowledged(books: list[Book]) -> dict[Id, Event]:
    """Every event that some client was told is stored."""
    return {key: event for book in books for key, event in book.acknowledged.items()}


def assert_raw_is_what_was_acknowledged(database: Database, books: list[Book]) -> None:
    """The same ids, each once, with the content as sent, and nothing else."""
    rows = ask(database, RAW)
    landed = {(row[0], row[1]): row[2:] for row in rows}
    assert len(landed) == len(rows)
    assert landed == {
        key: (event["event_type"], occurred_at(event), event["user_id"], event["session_id"])
        for key, event in acknowledged(books).items()
    }


def assert_the_ledger_adds_up(database: Database, books: list[Book]) -> None:
    """Per tenant: accepted = stored + duplicate + dead-lettered, each as the tables and the clients have it."""
    stored = Counter(tenant for tenant, _ in acknowledged(books))
    answered: Counter[str] = sum((book.answered for book in books), Counter())
    in_doubt: Counter[str] = sum((book.unanswered for book in books), Counter())
    letters = dict(ask(database, DEAD_LETTERS))
    for tenant, *counts in ask(database, LEDGER):
        assert counts[0] == sum(counts[1:])
        assert (counts[1], counts[3]) == (stored[tenant], letters[tenant])
        assert answered[tenant] <= counts[0] <= answered[tenant] + in_doubt[tenant]


def usage(events: dict[Id, Event]) -> list[tuple[str, date, str, int, int]]:
    """The rows of tenant_usage_metrics, counted here."""
    users: defaultdict[tuple[str, date, str], list[str]] = defaultdict(list)
    for (tenant, _), event in events.items():
        users[tenant, occurred_at(event).date(), event["event_type"]].append(event["user_id"])
    return [(*key, len(found), len(set(found))) for key, found in users.items()]


def occurred_at(event: Event) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(event["occurred_at"])


def ask(database: Database, query: Any) -> list[tuple[Any, ...]]:
    """As the administrator, who is under no policy."""
    with database.connect_admin() as connection:
        return connection.execute(query).fetchall()


def print_figures(killer: Killer, books: list[Book], sights: list[Sight], database: Database, seconds: float) -> None:
    """What happened, for the reader of `make chaos`."""
    by_target: Counter[str] = Counter()
    for (target, _), times in killer.killed.items():
        by_target[target] += times
    print(f"{killer.killed.total()} kills in {seconds:.0f} s: {dict(by_target)}")
    print("promotion when killed:", {f"{target}, {state}": n for (target, state), n in sorted(killer.killed.items())})
    print("promotions:", dict(ask(database, ENDINGS)))
    print(
        f"{len(acknowledged(books)):,} events acknowledged in {sum(book.requests for book in books):,} requests, "
        f"{sum(book.tries for book in books):,} tries"
    )
    print("reads:", [(sight.reads, len(sight.totals), sight.lost_connections) for sight in sights])
