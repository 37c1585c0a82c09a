"""The topic against a real broker: created as it must be, checked otherwise."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.core.errors import StreamError, StreamUnavailable
from pipeline.core.settings import KafkaSettings, Settings
from pipeline.stream.topic import ensure_topic, wanted_configs
from tests.integration.stream.topics import administration
from tests.kafka import SharedBroker

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def settings(broker: SharedBroker, topic: str, **kafka: Any) -> Settings:
    return Settings(
        kafka_bootstrap_servers=broker.bootstrap,
        kafka=KafkaSettings(topic=topic, **({"partitions": 3} | kafka)),
    )


async def test_a_missing_topic_is_created_as_it_must_be_and_found_so_afterwards(
    durable_broker: SharedBroker, topic: str
) -> None:
    wanted = settings(durable_broker, topic)
    assert await ensure_topic(wanted) == 3
    async with administration(durable_broker.bootstrap) as client:
        [answer] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert wanted_configs(wanted).items() <= configs.items()
    assert await ensure_topic(wanted) == 3


async def test_processes_that_create_it_at_once_all_find_it(durable_broker: SharedBroker, topic: str) -> None:
    assert await asyncio.gather(*(ensure_topic(settings(durable_broker, topic)) for _ in range(6))) == [3] * 6


async def test_a_topic_of_more_partitions_is_as_good_and_their_number_is_told(
    durable_broker: SharedBroker, topic: str
) -> None:
    await ensure_topic(settings(durable_broker, topic))
    async with administration(durable_broker.bootstrap) as client:
        await client.create_partitions({topic: NewPartitions(5)})
    while await ensure_topic(settings(durable_broker, topic)) != 5:
        await asyncio.sleep(0.05)


async def test_all_that_is_wrong_with_a_topic_is_told_at_once_and_goes_away_with_the_remedy(
    durable_broker: SharedBroker, topic: str
) -> None:
    async with administration(durable_broker.bootstrap) as client:
        configs = {"retention.ms": "3600000", "max.message.bytes": "1000"}
        await client.create_topics([NewTopic(topic, 3, 1, topic_configs=configs)])
        with pytest.raises(StreamError, match=topic) as raised:
            await ensure_topic(settings(durable_broker, topic))
        told = str(raised.value)
        for each in (
            "retention.ms is 3600000, needed is 604800000 or more",
            "max.message.bytes is 1000, needed is 1048576 or more",
            "message.timestamp.type is CreateTime, needed is LogAppendTime",
        ):
            assert each in told
        [command] = [line for line in told.splitlines() if line.startswith("kafka-configs.sh")]
        assert f"--bootstrap-server {durable_broker.bootstrap} " in command
        added = command.partition("--add-config ")[2]
        altered = configs | dict(pair.split("=") for pair in added.split(","))
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, altered)])
    async with asyncio.timeout(10):
        while True:
            try:
                assert await ensure_topic(settings(durable_broker, topic)) == 3
            except StreamError:
                await asyncio.sleep(0.05)
            else:
                break


async def test_more_replicas_than_there_are_brokers_is_told_with_the_brokers_own_words(
    durable_broker: SharedBroker, topic: str
) -> None:
    with pytest.raises(StreamError, match=f"{topic} is missing, and the broker refuses to create it") as raised:
        await ensure_topic(settings(durable_broker, topic, replication_factor=99))
    assert "--replication-factor 99" in (raised.value.remedy or "")


async def test_a_broker_that_is_not_there_is_unavailable_and_named() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(StreamUnavailable, match=f"No broker answers at {server}"):
            await ensure_topic(Settings(kafka_bootstrap_servers=server))
