"""The system under test: API and consumers as processes, between proxies, on a database and a broker of their own.

clients -> api-1, api-2 -> proxy -> broker -> proxy -> consumer-1, consumer-2 -> proxy -> database
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event as Signal
from types import MappingProxyType

import httpx
import psutil

from broker.local import LocalBroker
from broker.ports import LOOPBACK, free_port
from broker.proxy import FaultyProxy
from pipeline.core import deployment
from pipeline.core.database import Database
from pipeline.core.embedded import SOCKET_NAME, EmbeddedPostgres
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.key_register import create_key
from pipeline.core.tenants import add_tenant
from pipeline.stream.spool import count_spooled
from tests.acceptance.chaos.consuming import LANDED
from tests.acceptance.chaos.processes import Service
from tests.acceptance.chaos.topic import end_offsets
from tests.command_line import CommandLine
from tests.kafka import NewBroker
from workbench.cli.context import deploy

TOPIC = "tenant_events"
PARTITIONS = 6
SESSION_SECONDS = 6
PUBLISH_SECONDS = 2
SECRET = "a secret of the chaos tests, which guards nothing"
PATIENCE_SECONDS = 120
SECONDS_BETWEEN_LOOKS = 0.1
POSTGRES_PORT = int(SOCKET_NAME.rpartition(".")[2])
OFFSETS = "select partition, next_offset from control.stream_offsets where topic = %s"
SHARDS = "update control.tenants set shards = %s where tenant_id = %s"


class System:
    """Everything that runs; the database and the broker are up as long as a fault does not take them down."""

    def __init__(
        self,
        folder: Path,
        *,
        postgres: EmbeddedPostgres,
        broker: LocalBroker,
        to_broker: FaultyProxy,
        to_database: FaultyProxy,
    ) -> None:
        self.folder = folder
        self.postgres = postgres
        self.broker = broker
        self.to_broker = to_broker
        self.to_database = to_database
        self.database = Database(admin_url=postgres.admin_url)
        self.apis: list[Service] = []
        self.consumers: list[Service] = []
        self.urls: list[str] = []
        self._enough = Signal()

    def add_tenant(self, tenant: str, *, shards: int = 1) -> str:
        """A tenant; its key."""
        add_tenant(self.database, tenant)
        with self.database.connect_admin() as connection:
            connection.execute(SHARDS, (shards, tenant))
        return create_key(self.database, tenant)

    def start_api(self) -> None:
        """One more process of the API, all with one folder for their spools."""
        port = free_port()
        self.apis.append(self.service(f"api-{len(self.apis) + 1}", "-m", "workbench", "serve", "--port", str(port)))
        self.urls.append(f"http://{LOOPBACK}:{port}")
        self.apis[-1].start()

    def start_consumer(self) -> Service:
        """One more consumer."""
        consumer = self.new_consumer(f"consumer-{len(self.consumers) + 1}")
        self.consumers.append(consumer)
        consumer.start()
        return consumer

    def new_consumer(self, member: str) -> Service:
        """A consumer that does not run yet, and is not looked after."""
        words = ("tests.acceptance.chaos.consuming", "consume", "--member", member)
        return self.service(member, "-m", *words)

    def service(self, name: str, *words: str) -> Service:
        """A process of ours, which reaches broker and database through the proxies."""
        return Service(name, words, environment=self._environment, log=self.folder / f"{name}.log")

    @property
    def workbench(self) -> CommandLine:
        """Commands on the database, around the proxy."""
        return CommandLine(
            {"DATABASE_URL": self.postgres.admin_url, "WORKBENCH_SECRET": SECRET, "WORKBENCH_HOME": str(self.folder)}
        )

    def wait_until_ready(self) -> None:
        """Every API takes events."""
        self.wait_for(lambda: all(map(_is_ready, self.urls)), "the API")

    def wait_until_landed(self) -> None:
        """All that was acknowledged is in the topic, and all of that in the database."""
        self.wait_for(lambda: not self.spooled(), "the spools to be empty")
        # Batches that were given up may still arrive, so that the ends are looked at again and again.
        self.wait_for(lambda: self.landed() == end_offsets(self.broker.direct_bootstrap, TOPIC), "landing to the end")

    def spooled(self) -> int:
        """Events in the spools."""
        return sum(count_spooled(self.folder / "spool").values())

    def landed(self) -> dict[int, int]:
        """By partition, the next record to land; nothing while the database does not tell."""
        try:
            with self.database.connect_admin() as connection:
                return dict(connection.execute(OFFSETS, (TOPIC,)).fetchall())
        except DatabaseUnavailable:
            return {}

    def landed_by(self, consumer: Service) -> int:
        """How many records this consumer has landed, as it says."""
        return sum(int(line.split()[1]) for line in consumer.lines() if line.startswith(f"{LANDED} "))

    def wait_for(self, condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the condition holds; fail naming what was waited for, and with the ends of all logs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}; {self._state()}"
            Signal().wait(SECONDS_BETWEEN_LOOKS)

    def database_processes(self) -> list[psutil.Process]:
        """The server's first process and all its children."""
        first = self.postgres.process()
        return [] if first is None else [first, *first.children(recursive=True)]

    @contextmanager
    def kept_running(self) -> Iterator[None]:
        """While the block runs, what ends by itself is started again; afterwards all has ended."""
        keeper = threading.Thread(target=self._keep, name="keeper")
        keeper.start()
        try:
            yield
        finally:
            self._enough.set()
            keeper.join()
            for service in (*self.apis, *self.consumers):
                service.kill()

    def _keep(self) -> None:
        while not self._enough.wait(SECONDS_BETWEEN_LOOKS):
            for service in (*self.apis, *self.consumers):
                service.keep()

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://postgres@{LOOPBACK}:{self.to_database.port}/workbench",
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "WORKBENCH_HOME": str(self.folder),
            "WORKBENCH_SECRET": SECRET,
            "WORKBENCH_KAFKA_PARTITIONS": str(PARTITIONS),
            "WORKBENCH_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS),
            "WORKBENCH_KAFKA_PUBLISH_SECONDS": str(PUBLISH_SECONDS),
        }

    def _state(self) -> str:
        told = "\n".join(f"--- {each.name}\n{each.last_lines()}" for each in (*self.apis, *self.consumers))
        return f"{self.spooled()} events in spools, landed {self.landed()}\n{told}"


@contextmanager
def running_system(
    folder: Path, new_broker: NewBroker, broker_settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[System]:
    """A deployed database with the settings as shipped, a broker, and the proxies; no process of ours yet."""
    port = free_port()
    with ExitStack() as parts:
        to_broker = parts.enter_context(FaultyProxy(LOOPBACK, port))
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(new_broker, port=port, advertised_port=to_broker.port, settings=broker_settings)
            postgres = parts.enter_context(EmbeddedPostgres(folder))
            _deploy(postgres.admin_url)
            broker = starting.result()
        socket_folder = postgres.admin_url.rpartition("host=")[2]
        to_database = parts.enter_context(FaultyProxy(socket_folder, POSTGRES_PORT))
        system = System(folder, postgres=postgres, broker=broker, to_broker=to_broker, to_database=to_database)
        with system.kept_running():
            yield system


def _deploy(admin_url: str) -> None:
    deployment.ensure_database(admin_url)
    deployment.close_maintenance_databases(admin_url)
    deploy(Database(admin_url=admin_url))


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10, trust_env=False).is_success
    except httpx.TransportError:
        return False
