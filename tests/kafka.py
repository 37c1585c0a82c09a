"""Fixtures of the broker: one Apache Kafka per test process, or one of a test alone to be killed.

`KAFKA_BOOTSTRAP_SERVERS` uses given brokers for the tests that harm none. Where Java, Maven or the
jars are missing, those tests run on librdkafka's mock cluster, which keeps nothing and creates
topics by itself; tests that need durability, or a broker of their own, are skipped.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.jars import ensure_jars, kafka_version, require_parts
from broker.local import LocalBroker
from broker.requirements import PartMissing
from tests.parts import missing, real_parts_are_required

GIVEN = "KAFKA_BOOTSTRAP_SERVERS"
PATIENCE_SECONDS = 30

NewBroker = Callable[..., LocalBroker]
"""Takes what LocalBroker takes, except the folder; answers a started broker."""


@dataclass(frozen=True, kw_only=True)
class SharedBroker:
    """Brokers that tests share: where they are, and whether what they acknowledge is kept."""

    bootstrap: str
    durable: bool


def pytest_report_header() -> str:
    """Say which broker the tests talk to."""
    return f"Kafka: {os.environ.get(GIVEN) or _local_kind()}"


@pytest.fixture(scope="session", autouse=True)
def given_brokers() -> str | None:
    """The brokers that were given. Commands under test do not find them in the environment by themselves."""
    return os.environ.pop(GIVEN, None)


@pytest.fixture(scope="session")
def broker(given_brokers: str | None) -> Iterator[SharedBroker]:
    """The broker of this test process, for tests that leave it as it is."""
    with ExitStack() as parts:
        if given_brokers:
            yield SharedBroker(bootstrap=given_brokers, durable=True)
            return
        try:
            local = parts.enter_context(_local_broker())
        except PartMissing as reason:
            if real_parts_are_required():
                missing(str(reason))
            yield SharedBroker(bootstrap=parts.enter_context(_mock_cluster()), durable=False)
        else:
            yield SharedBroker(bootstrap=local.bootstrap, durable=True)


@pytest.fixture
def durable_broker(broker: SharedBroker) -> SharedBroker:
    """The shared broker, for tests that need a real one."""
    if not broker.durable:
        _require_real_broker()
    return broker


@pytest.fixture
def new_broker() -> Iterator[NewBroker]:
    """Starts brokers of this test alone; `settings`, `port` and `advertised_port` are those of LocalBroker."""
    _require_real_broker()
    with ExitStack() as brokers:
        yield lambda **options: brokers.enter_context(_local_broker(**options))


@pytest.fixture
def own_broker(new_broker: NewBroker) -> LocalBroker:
    """A broker of this test alone, to be killed, paused and restarted."""
    return new_broker()


@pytest.fixture
def topic() -> str:
    """The name of a topic that does not exist yet."""
    return f"test_{secrets.token_hex(6)}"


def create_topic(bootstrap: str, name: str, *, partitions: int = 1, config: dict[str, str] | None = None) -> None:
    """Create a topic on a real broker, which does not do it by itself."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
    admin.create_topics([new])[name].result(PATIENCE_SECONDS)


@contextmanager
def _local_broker(**options: object) -> Iterator[LocalBroker]:
    home = Path(tempfile.mkdtemp(prefix="workbench-kafka-"))
    local = LocalBroker(home, **options)  # type: ignore[arg-type]
    try:
        local.start()
        yield local
    finally:
        # Its data goes with it, so it need not end in order.
        local.kill()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _mock_cluster() -> Iterator[str]:
    owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1})
    brokers = owner.list_topics(timeout=PATIENCE_SECONDS).brokers.values()
    yield ",".join(f"{mock.host}:{mock.port}" for mock in brokers)
    owner.flush(0)


def _require_real_broker() -> None:
    try:
        require_parts()
        ensure_jars()
    except PartMissing as reason:
        missing(str(reason))


def _local_kind() -> str:
    try:
        require_parts()
    except PartMissing as reason:
        return f"librdkafka's mock cluster. {reason.message}"
    return f"Apache Kafka {kafka_version()}, local"
