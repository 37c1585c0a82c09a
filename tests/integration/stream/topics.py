"""Topics of a real broker as tests look at them: what is in one, and how it is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from pipeline.core.events import Event
from pipeline.stream.record import decode_event


async def read_topic(servers: str, topic: str) -> list[ConsumerRecord]:
    """All records, partition after partition, each in its order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        metadata = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(topic, number) for number in sorted(metadata.partitions_for_topic(topic))]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning()
        records: list[ConsumerRecord] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for batch in (await consumer.getmany(partition, timeout_ms=1000)).values():
                    records += batch
        return records
    finally:
        await consumer.stop()


async def read_events(servers: str, topic: str) -> list[Event]:
    """The events of a topic, each where it is first in its partition."""
    events = [decode_event(record.value) for record in await read_topic(servers, topic)]
    return list({event.event_id: event for event in reversed(events)}.values())[::-1]


@asynccontextmanager
async def administration(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that may do anything."""
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()
