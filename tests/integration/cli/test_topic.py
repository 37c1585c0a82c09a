"""`workbench topic` against a real broker."""

from __future__ import annotations

from tests.command_line import CommandLine
from tests.kafka import SharedBroker, create_topic


def commands(broker: SharedBroker, topic: str) -> CommandLine:
    """The command line with this topic."""
    return CommandLine(
        {
            "DATABASE_URL": None,
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "WORKBENCH_KAFKA_TOPIC": topic,
            "WORKBENCH_KAFKA_PARTITIONS": "3",
        }
    )


def test_it_makes_the_topic_and_finds_it_as_it_must_be_afterwards(durable_broker: SharedBroker, topic: str) -> None:
    workbench = commands(durable_broker, topic)
    assert workbench.json("topic") == {"topic": topic, "partitions": 3}
    assert f"The topic {topic} is as it must be, with 3 partitions." in workbench.run("topic").stdout


def test_a_topic_that_would_lose_events_is_refused_with_the_command_that_corrects_it(
    durable_broker: SharedBroker, topic: str
) -> None:
    create_topic(durable_broker.bootstrap, topic, config={"cleanup.policy": "compact"})
    told = commands(durable_broker, topic).run("topic", exits=1).stderr
    assert "kafka-topics.sh" in told
    assert "cleanup.policy=delete" in told


def test_without_a_stream_it_says_what_to_set() -> None:
    told = CommandLine({"KAFKA_BOOTSTRAP_SERVERS": None, "DATABASE_URL": None}).run("topic", exits=1).stderr
    assert "KAFKA_BOOTSTRAP_SERVERS" in told
