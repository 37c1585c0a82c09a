"""A database server as compose.yaml has it, and our own services on it, for the tests of one file."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.composition import services
from tests.integration.compose.containers import PORTS, Container, NewContainer, free_port
from tests.integration.compose.servers import Server
from tests.kafka import SharedBroker
from tests.parts import missing


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where volumes and logs are; not a folder of pytest's, which another user may not enter."""
    made = Path(tempfile.mkdtemp(prefix="workbench-compose-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def primary(cluster: str, folder: Path) -> Iterator[Server]:
    """The service `postgres`, new and running. `cluster` has seen to it that its user may run the server."""
    del cluster
    server = Server("postgres", services()["postgres"], folder=folder, port=free_port())
    server.prepare("docker/postgres/init.sh")
    with server.start():
        yield server


@pytest.fixture(scope="module")
def new_container(primary: Server, broker: SharedBroker, folder: Path) -> NewContainer:
    """Makes a service of ours, on a topic of its own: the broker is shared with other tests."""
    if not broker.durable:
        missing("The stack needs a real Kafka broker: Java 17 and Maven.")
    topic = {"WORKBENCH_KAFKA_TOPIC": f"test_{secrets.token_hex(6)}"}
    places = {"postgres:5432": f"127.0.0.1:{primary.port}", "kafka:9092": broker.bootstrap}
    # The second is where its metrics are; nobody asks there.
    ports = {inside: str(free_port()) for inside in (*PORTS.values(), "9102")}

    def make(name: str, elsewhere: Mapping[str, str] | None = None, **given: str) -> Container:
        everywhere = places | ports | dict(elsewhere or {})
        return Container(name, services()[name], folder=folder, places=everywhere, given=topic | given)

    return make
