"""Looking at the topic without being a member of the consumer group, and without changing anything.

A topic that is missing stays missing: no broker creates one because it was looked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    NoError,
    for_code,
)

from pipeline.core.settings import Settings
from pipeline.stream.administration import SECONDS, administration, translated
from pipeline.stream.connection import client_options
from pipeline.stream.topic import Topic


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What a partition holds: its first record, and the one that will come next."""

    beginning: int
    end: int


async def find_topic(settings: Settings) -> Topic | None:
    """The topic as it is, or None where there is none.

    Raises StreamUnavailable where no broker answers, StreamError where it may not be looked at.
    """
    with translated(settings):
        async with asyncio.timeout(SECONDS), administration(settings) as client:
            partitions = await _find_partitions(client, settings.kafka.topic)
            if not partitions:
                return None
            return Topic(
                partitions=len(partitions),
                replicas=min(len(partition["replicas"]) for partition in partitions),
                configs=await _read_configs(client, settings.kafka.topic),
            )


async def find_extents(settings: Settings) -> dict[int, Extent]:
    """What each partition holds now; of a topic that is missing, nothing. Raises as `find_topic`."""
    async with open_client(settings) as client:
        return await extents_of(client, settings)


async def extents_of(client: AIOKafkaConsumer, settings: Settings) -> dict[int, Extent]:
    """The same with a client that is open."""
    topic = settings.kafka.topic
    with translated(settings):
        async with asyncio.timeout(SECONDS):
            if topic not in await client.topics():
                return {}
            async with administration(settings) as admin:
                found = await _find_partitions(admin, topic)
            partitions = [TopicPartition(topic, partition["partition"]) for partition in found]
            client.assign(partitions)
            beginnings = await client.beginning_offsets(partitions)
            ends = await client.end_offsets(partitions)
    return {tp.partition: Extent(beginning=beginnings[tp], end=ends[tp]) for tp in sorted(partitions)}


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that reads and belongs to no group; where it reads is told by `assign` and `seek`."""
    client = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(SECONDS * 1_000),
    )
    try:
        with translated(settings):
            async with asyncio.timeout(SECONDS):
                await client.start()
        yield client
    finally:
        await client.stop()


async def _find_partitions(client: AIOKafkaAdminClient, name: str) -> list[dict[str, Any]]:
    # All topics are asked for: asking for one by its name could create it.
    for topic in await client.describe_topics():
        if topic["topic"] == name:
            kind = for_code(topic["error_code"])
            if kind is not NoError:
                raise kind()
            return list(topic["partitions"])
    return []


async def _read_configs(client: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    [answer] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    [resource] = answer.resources
    code, entries = resource[0], resource[4]
    kind = for_code(code)
    if kind is not NoError:
        raise kind()
    return {entry[0]: entry[1] for entry in entries}
