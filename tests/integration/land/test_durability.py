"""What was acknowledged outlives a kill -9 of the server, on real durability settings."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event as Signal

import pytest

from pipeline.core import deployment
from pipeline.core.database import Database, ServiceRole
from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.events import Event, Fate, Landed
from pipeline.core.tenants import add_tenant
from pipeline.land.landing import Lander
from tests.factories import event
from tests.integration.land.state import read_state
from tests.integration.land.waiting import wait_until

KILLS = 2
BATCHES = 80


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path) as server:
        yield server
        server.ensure_running()


class Sender:
    """Hands batches over until each is acknowledged, as a client that retries does."""

    def __init__(self, lander: Lander, batches: Sequence[Sequence[Event]]) -> None:
        self._lander = lander
        self._batches = batches
        self.acknowledged: list[list[Landed]] = []
        self.lost = Signal()
        self.restarted = Signal()

    def send_all(self) -> None:
        while len(self.acknowledged) < len(self._batches):
            try:
                self.acknowledged.append(self._lander.land(self._batches[len(self.acknowledged)]))
            except DatabaseUnavailable:
                self.lost.set()
                assert self.restarted.wait(60)
                self.restarted.clear()


def test_nothing_acknowledged_is_lost_or_counted_twice_through_kills_of_the_server(server: EmbeddedPostgres) -> None:
    database = deploy(server)
    moments = sorted(random.Random(20260302).sample(range(5, BATCHES - 5), KILLS))
    batches = [[event() for _ in range(25)] for _ in range(BATCHES)]
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    sender = Sender(lander, batches)
    with ThreadPoolExecutor(max_workers=1) as thread:
        sending: Future[None] = thread.submit(sender.send_all)
        for moment in moments:
            wait_until(lambda at=moment: len(sender.acknowledged) >= at, what=f"batch {moment}")  # type: ignore[misc]
            kill(server)
            assert sender.lost.wait(60)
            sender.lost.clear()
            server.ensure_running()
            sender.restarted.set()
        sending.result(60)
    lander.close()
    check(database, sender, batches)


def check(database: Database, sender: Sender, batches: Sequence[Sequence[Event]]) -> None:
    """Every event is there once; a batch whose acknowledgement was lost on the way is counted as sent twice."""
    sent = {(e.tenant_id, e.event_id) for batch in batches for e in batch}
    with database.connect(ServiceRole.STEWARD, autocommit=True) as steward:
        state = read_state(steward, ["acme"])
    assert state.rows.keys() == sent
    accepted, stored, duplicate, dead_lettered = state.ledger["acme"]
    assert (stored, dead_lettered) == (len(sent), 0)
    fates = [landed.fate for told in sender.acknowledged for landed in told]
    assert len(fates) == len(sent)
    unheard = stored - fates.count(Fate.STORED)
    assert duplicate == fates.count(Fate.DUPLICATE) == unheard
    assert accepted == len(sent) + unheard
    assert unheard <= KILLS * len(batches[0])


def deploy(server: EmbeddedPostgres) -> Database:
    """A deployed database with one tenant, without marts."""
    deployment.ensure_database(server.admin_url)
    database = Database(admin_url=server.admin_url)
    deployment.migrate(database, lambda _: None)
    add_tenant(database, "acme")
    return database


def kill(server: EmbeddedPostgres) -> None:
    """End the server's main process without notice."""
    process = server.process()
    assert process is not None
    process.kill()
    process.wait(10)
