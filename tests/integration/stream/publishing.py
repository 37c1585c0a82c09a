"""A process that publishes one event at a time per client, for tests that kill it.

    python -m tests.integration.stream.publishing SERVERS TOPIC FOLDER CLIENTS

It prints `ready`, then a line for each acknowledged event: its fate and its id, and whenever it is
less, how many events its spool holds. Events are of one tenant per client, and their `user_id`
counts. Without clients it only drains, and ends once its spool is empty.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path
from uuid import uuid4

from pipeline.core.settings import KafkaSettings, Settings
from pipeline.stream.kafka import KafkaPublisher
from pipeline.stream.spool import Spool
from tests.factories import event

PARTITIONS = 3


def settings_of(servers: str, topic: str, **kafka: int) -> Settings:
    """Settings under which a broker that does not answer is noticed within a second."""
    values = {"topic": topic, "partitions": PARTITIONS, "publish_seconds": 1} | kafka
    return Settings(kafka_bootstrap_servers=servers, kafka=KafkaSettings(**values))  # type: ignore[arg-type]


async def publish(servers: str, topic: str, folder: Path, clients: int) -> None:
    """What the module's docstring says."""
    publisher = KafkaPublisher(settings_of(servers, topic), spool=Spool(folder, most_bytes=1 << 28))
    await publisher.open()
    print("ready", flush=True)

    async def client(number: int) -> None:
        for index in count():
            sent = event(tenant_id=f"tenant-{number}", event_id=uuid4(), user_id=str(index))
            [landed] = await publisher.publish([sent])
            print(landed.fate, sent.event_id, flush=True)

    clients_at_work = [asyncio.create_task(client(number)) for number in range(clients)]
    spooled = 0
    while clients_at_work or publisher.away or publisher.spooled_events:
        if publisher.spooled_events < spooled:
            print("left", publisher.spooled_events, flush=True)
        spooled = publisher.spooled_events
        await asyncio.sleep(0.001)
    await publisher.close()


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
