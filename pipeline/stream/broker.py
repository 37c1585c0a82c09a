"""One generation of a connection to the brokers: an idempotent producer, from its start to its end.

Batches of a generation are acknowledged or they are not; after the first that is not, the whole
generation is given up, since those behind it would be refused as out of sequence. The library keeps
trying to send an idempotent batch without end, so that the deadline is ours; what a generation given
up still delivers are events of the same ids, which landing counts once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.core.errors import StreamUnavailable
from pipeline.core.settings import Settings
from pipeline.stream.connection import bootstrap_servers, client_options
from pipeline.stream.topic import ensure_topic

log = logging.getLogger(__name__)

BATCH_BYTES = 524_288
"""Of records before compression; a larger record goes by itself."""
METADATA_SECONDS = 30
"""How soon a grown topic is noticed, at the latest."""
STOP_SECONDS = 2


class Broker:
    """Brokers that answered. Made by `connect`, ended by `close` or `abandon`."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, partitions: int) -> None:
        self._producer = producer
        self._topic = settings.kafka.topic
        self._seconds = settings.kafka.publish_seconds
        self._servers = ", ".join(bootstrap_servers(settings))
        self._partitions = partitions
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, settings: Settings) -> Broker:
        """See that the topic is as it must be, and begin. Raises StreamError, most often StreamUnavailable."""
        partitions = await ensure_topic(settings)
        milliseconds = settings.kafka.publish_seconds * 1000
        producer = AIOKafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=milliseconds,
            metadata_max_age_ms=METADATA_SECONDS * 1000,
        )
        try:
            async with asyncio.timeout(2 * settings.kafka.publish_seconds):
                await producer.start()
                await producer.partitions_for(settings.kafka.topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await producer.stop()
            raise StreamUnavailable(
                f"The broker at {', '.join(bootstrap_servers(settings))} does not begin."
            ) from error
        except BaseException:
            await producer.stop()
            raise
        return cls(producer, settings, partitions)

    @property
    def partitions(self) -> int:
        """How many partitions the topic has, as far as is known."""
        known = self._producer.client.cluster.partitions_for_topic(self._topic)
        if known:
            self._partitions = len(known)
        return self._partitions

    def new_batch(self) -> BatchBuilder:
        """An empty batch for `send`; at least one record can be appended."""
        return self._producer.create_batch()

    async def send(self, batch: BatchBuilder, partition: int) -> None:
        """Publish a batch; it is in the stream when this returns.

        Raises StreamUnavailable where the broker did not acknowledge it in time; it may be in the stream.
        """
        try:
            async with asyncio.timeout(self._seconds):
                acknowledged = await self._producer.send_batch(batch, self._topic, partition=partition)
                acknowledged.add_done_callback(_retrieve)
                await asyncio.wait((acknowledged, self._gone), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise StreamUnavailable(
                f"The broker at {self._servers} did not acknowledge within {self._seconds} s."
            ) from error
        except (KafkaError, AssertionError) as error:
            # An assertion is the library's way to say that the topic has no such partition any more.
            raise StreamUnavailable(f"The broker at {self._servers} does not take events: {error!r}.") from error
        if not acknowledged.done():
            raise StreamUnavailable(f"The connection to the broker at {self._servers} was given up.")
        if (refused := acknowledged.exception()) is not None:
            raise StreamUnavailable(f"The broker at {self._servers} refused events: {refused!r}.") from refused
        if acknowledged.result() is None:
            raise StreamUnavailable

    async def close(self) -> None:
        """End, once nothing is being sent."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producer.stop()
        except TimeoutError:
            await self._discard(STOP_SECONDS)

    def abandon(self) -> asyncio.Task[None]:
        """Give up what is being sent, at once; the task that cleans up behind it is the caller's to keep."""
        if not self._gone.done():
            self._gone.set_result(None)
        return asyncio.create_task(self._discard(2 * self._seconds), name="end of a producer")

    async def _discard(self, seconds: float) -> None:
        """Stop the producer. Its own `stop` would wait for batches to be acknowledged, without end."""
        self._producer._closed = True
        sender = self._producer._sender.sender_task
        sender.cancel()
        try:
            # It lets requests end by their timeouts first; cancelled twice it does not.
            await asyncio.wait({sender}, timeout=seconds)
        finally:
            sender.cancel()
            accumulator = self._producer._message_accumulator
            pending = accumulator._pending_batches
            pending.update(*accumulator._batches.values())
            for batch in list(pending):
                batch.done_noack()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._producer.client.close()


def _retrieve(future: asyncio.Future[object]) -> None:
    """Look at an exception that nobody waits for any more, which would be reported otherwise."""
    if not future.cancelled():
        future.exception()
