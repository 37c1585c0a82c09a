"""A topic as tests fill it, and landing from it without a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from pipeline.core.database import Database, ServiceRole
from pipeline.core.events import Event
from pipeline.core.settings import Settings
from pipeline.land.landing import StreamLander
from pipeline.stream.looking import extents_of, open_client
from pipeline.stream.reading import deliveries, open_tail
from pipeline.stream.record import encode_event
from pipeline.stream.topic import ensure_topic


class Stream:
    """Publishes events and foreign records, and lands what is there."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.topic = settings.kafka.topic
        self._database = database

    def publish(self, events: Sequence[Event], foreign: Sequence[tuple[bytes | None, bytes]] = ()) -> None:
        """Publish events, each by its tenant, and records of any key and value; the topic is created as it must be."""
        records = [(event.tenant_id.encode(), encode_event(event)) for event in events]

        async def publish() -> None:
            await ensure_topic(self.settings)
            async with AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka_bootstrap_servers, acks="all"
            ) as producer:
                sent = [await producer.send(self.topic, value, key=key) for key, value in (*records, *foreign)]
                await asyncio.gather(*sent)

        asyncio.run(publish())

    def land(self) -> None:
        """Land all that is there."""
        lander = StreamLander(lambda: self._database.connect(ServiceRole.LANDER))

        async def land() -> None:
            async with open_client(self.settings) as client:
                extents = await extents_of(client, self.settings)
            found = lander.find_offsets(self.topic, {p: extent.beginning for p, extent in extents.items()})
            async with open_tail(self.settings, found) as tail:
                async for delivery in deliveries(tail):
                    lander.land(delivery)

        asyncio.run(land())
        lander.close()
