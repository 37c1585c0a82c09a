"""One record to a broker and back, through the client that the product uses."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

PATIENCE_SECONDS = 30


def publish(bootstrap: str, topic: str, value: bytes, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return once all brokers have the record; raises TimeoutError or KafkaError."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", retry_backoff_ms=50)
        try:
            await producer.start()
            await producer.send_and_wait(topic, value)
        finally:
            await producer.stop()

    asyncio.run(asyncio.wait_for(send(), seconds))


def first_value(bootstrap: str, topic: str) -> bytes:
    """The oldest record of the topic."""

    async def read() -> bytes:
        async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
            return bytes((await consumer.getone()).value)

    return asyncio.run(asyncio.wait_for(read(), PATIENCE_SECONDS))
