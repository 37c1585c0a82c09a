"""The command line on a database of this test alone, and on a topic of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.database import Database
from pipeline.core.settings import KafkaSettings, Settings
from tests.command_line import CommandLine
from tests.integration.cli.streaming import Stream
from tests.kafka import SharedBroker

SECRET = "the command line's integration tests"
PARTITIONS = 3


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of the commands."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def workbench(database: Database, home: Path) -> CommandLine:
    """The command line, configured for the test's database."""
    return CommandLine(environment(database, home))


@pytest.fixture
def streaming(database: Database, home: Path, durable_broker: SharedBroker, topic: str) -> CommandLine:
    """The command line, configured for the test's database and a topic of this test alone."""
    return CommandLine(environment(database, home) | stream_environment(durable_broker.bootstrap, topic))


@pytest.fixture
def stream(database: Database, home: Path, durable_broker: SharedBroker, topic: str) -> Stream:
    """The same topic, to publish into and to land from."""
    kafka = KafkaSettings(topic=topic, partitions=PARTITIONS, group=topic)
    settings = Settings(home=home, kafka_bootstrap_servers=durable_broker.bootstrap, kafka=kafka)
    return Stream(settings, database)


def environment(database: Database, home: Path) -> dict[str, str | None]:
    """Settings of commands without a stream."""
    return {"DATABASE_URL": database.admin_url, "WORKBENCH_SECRET": SECRET, "WORKBENCH_HOME": str(home)}


def stream_environment(bootstrap: str, topic: str) -> dict[str, str | None]:
    """Settings of a stream of a test's own."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "WORKBENCH_KAFKA_TOPIC": topic,
        "WORKBENCH_KAFKA_PARTITIONS": str(PARTITIONS),
        "WORKBENCH_KAFKA_GROUP": topic,
    }
