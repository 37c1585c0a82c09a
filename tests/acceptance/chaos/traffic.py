"""Traffic: many clients and a little poison, for as long as a block runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from random import Random
from threading import Event as Signal

from tests.acceptance.chaos.clients import WEIGHTS, Client, Kind
from tests.acceptance.chaos.model import Book
from tests.acceptance.chaos.poison import Poisoner
from tests.acceptance.chaos.system import TOPIC, System

TENANTS = {"hot": 12, "acme": 1, "globex": 1, "initech": 1, "umbrella": 1}
"""How often each is chosen."""
HOT_SHARDS = 4
CLIENTS = 6
SECONDS_BETWEEN_REQUESTS = 0.15
SECONDS_BETWEEN_POISON = 0.1


class Traffic:
    """What is sent to a system, and what was told of it; it flows while a block of `flowing` runs."""

    def __init__(self, system: System, random: Random, *, kinds: Mapping[Kind, int] = WEIGHTS) -> None:
        self.book = Book()
        self._system = system
        self._random = random
        self._kinds = kinds
        self._keys = {
            tenant: system.add_tenant(tenant, shards=HOT_SHARDS if tenant == "hot" else 1) for tenant in TENANTS
        }
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._working: list[Future[None]] = []
        servers = system.broker.direct_bootstrap
        self.poisoner = Poisoner(servers, TOPIC, list(TENANTS), self._new_random(), seconds=SECONDS_BETWEEN_POISON)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send until the block ends; then everything has its answer."""
        clients = [
            Client(
                self.book,
                keys=self._keys,
                weights=list(TENANTS.values()),
                kinds=self._kinds,
                urls=self._system.urls,
                random=self._new_random(),
                now=self._now,
                pause_seconds=SECONDS_BETWEEN_REQUESTS,
            )
            for _ in range(CLIENTS)
        ]
        with ThreadPoolExecutor(CLIENTS + 1) as pool, ExitStack() as ending:
            enough = Signal()
            ending.callback(enough.set)
            self._working = [pool.submit(client.send_until, enough) for client in clients]
            self._working.append(pool.submit(self.poisoner.poison_until, enough))
            yield
        assert self.is_well()

    def is_well(self) -> bool:
        """Raises what went wrong with a client."""
        return all(work.result() is None for work in self._working if work.done())

    def wait_for(self, events: int) -> None:
        """Return when so many more events were answered."""
        wanted = self.book.events + events
        self._system.wait_for(lambda: self.is_well() and self.book.events >= wanted, f"{events} more events")

    def _new_random(self) -> Random:
        return Random(self._random.random())
