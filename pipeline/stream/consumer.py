"""The consumer: a process's membership in the consumer group, over as many clients as that takes.

Where the next record to land is, the database says, not the broker; what is committed to Kafka is a
hint for those who watch lag. What a member does is in `consumption.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline.core.clock import Clock, utc_now
from pipeline.core.errors import StreamUnavailable
from pipeline.core.settings import Settings
from pipeline.stream.connection import client_options
from pipeline.stream.consumption import Consumption, Landed
from pipeline.stream.delivery import Landing
from pipeline.stream.landing_thread import LandingThread
from pipeline.stream.topic import ensure_topic

MOST_RECORDS = 10_000
"""Records in one delivery."""
PARTITION_FETCH_BYTES = 2_097_152
"""What is read ahead of each partition, as the broker keeps it; with an eighth of it, landing was much slower."""
METADATA_MILLISECONDS = 10_000
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0

log = logging.getLogger(__name__)


class StreamConsumer:
    """Lands a topic as a member of the consumer group, until it is stopped.

    `landing` is called on one thread of this consumer's own. `member` names this process within the
    group: the same after a restart, so that it gets its partitions back, and another in every process.
    `observe` is told of every delivery that is durable.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        landing: Landing,
        member: str,
        observe: Callable[[Landed], None] = lambda _: None,
        clock: Clock = utc_now,
        most_records: int = MOST_RECORDS,
    ) -> None:
        self._settings = settings
        self._landing = LandingThread(landing)
        self._member = member
        self._observe = observe
        self._clock = clock
        self._most_records = most_records

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; then finish the landing under way, and leave the rest to others.

        Raises StreamError where the topic is not as it must be. What can pass, the broker or the
        database away, is waited for.
        """
        stopping = asyncio.create_task(stop.wait())
        delay = FIRST_DELAY_SECONDS
        try:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    await self._consume_until(stopping)
                except (StreamUnavailable, KafkaError) as error:
                    if time.monotonic() - began > LONGEST_DELAY_SECONDS:
                        delay = FIRST_DELAY_SECONDS
                    log.warning("the stream fails, next try in %g s: %s", delay, error)
                    await asyncio.wait({stopping}, timeout=delay)
                    delay = min(delay * 2, LONGEST_DELAY_SECONDS)
        finally:
            stopping.cancel()
            self._landing.close()

    async def _consume_until(self, stopping: asyncio.Task[bool]) -> None:
        consuming = asyncio.create_task(self._consume())
        try:
            await asyncio.wait({consuming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if consuming.done():
                await consuming
        finally:
            consuming.cancel()
            await asyncio.wait({consuming})

    async def _consume(self) -> None:
        """Consume with one client until it fails or is cancelled."""
        await ensure_topic(self._settings)
        client = AIOKafkaConsumer(
            **client_options(self._settings),
            group_id=self._settings.kafka.group,
            group_instance_id=self._member,
            enable_auto_commit=False,
            # Records that are gone are a gap to be recorded, not to be skipped.
            auto_offset_reset="none",
            # A topic that was made anew is noticed by its metadata.
            metadata_max_age_ms=METADATA_MILLISECONDS,
            session_timeout_ms=self._settings.kafka.session_seconds * 1_000,
            heartbeat_interval_ms=self._settings.kafka.session_seconds * 100,
            # How long landing may take is bounded by nothing: the database may be away for hours.
            max_poll_interval_ms=2_000_000_000,
            rebalance_timeout_ms=self._settings.kafka.session_seconds * 1_000,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )
        consumption = Consumption(
            client,
            self._settings.kafka.topic,
            landing=self._landing,
            observe=self._observe,
            clock=self._clock,
            most_records=self._most_records,
        )
        client.subscribe([self._settings.kafka.topic], listener=consumption)
        try:
            await client.start()
            await consumption.work()
        finally:
            await consumption.finish()
            await client.stop()
