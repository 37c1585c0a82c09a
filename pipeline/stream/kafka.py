"""Publishing to Kafka: acknowledged by the broker, or fsync'd in the spool while it is away.

    away      no broker: events go into the spool
    draining  a broker: the spool is moved into the stream, new events queue up behind it in the spool
    handover  the last of the spool is on its way; new events wait in their lanes, which are closed yet
    direct    the lanes are open

Order is kept throughout, per partition: each step into the next one happens without an await
between the look that allows it and itself, and what a broker does not acknowledge goes into the
spool before anything newer does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from pipeline.core.clock import Clock, utc_now
from pipeline.core.errors import StreamError, StreamUnavailable, WorkbenchError
from pipeline.core.events import Event, Fate, Landed
from pipeline.core.settings import Settings
from pipeline.stream.broker import Broker
from pipeline.stream.connection import client_options
from pipeline.stream.draining import Drainer
from pipeline.stream.lane import Lane
from pipeline.stream.parcel import Parcel
from pipeline.stream.port import Group, Overloaded, Readiness
from pipeline.stream.spool import Spool, SpoolUnusable
from pipeline.stream.spooling import Spooler

log = logging.getLogger(__name__)

IN_FLIGHT_BYTES = 67_108_864
HANDOVER_EVENTS = 10_000
HANDOVER_BYTES = 4_194_304
"""What is left in the spool once new events wait for the rest of it to be moved."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
SECONDS_BETWEEN_ORPHANS = 10.0


class KafkaPublisher:
    """Publishes events to the topic. Belongs to the event loop that it is opened in.

    `in_flight_bytes` bounds what waits or is on its way, to the broker and into the spool; a publish
    beyond it still goes through when it is alone. `observe` is told of every batch, to either.
    The spool is the publisher's to close. Raises SettingsError where the settings cannot work.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        spool: Spool,
        observe: Callable[[Group], None] | None = None,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
        clock: Clock = utc_now,
        connect: Callable[[Settings], Awaitable[Broker]] = Broker.connect,
    ) -> None:
        self._servers = ", ".join(client_options(settings)["bootstrap_servers"])
        self._settings = settings
        self._observe = observe
        self._in_flight_bytes = in_flight_bytes
        self._clock = clock
        self._connect = connect
        self._spooler = Spooler(spool, settle=self._settle, observe=observe)
        self._drainer = Drainer(self._spooler)
        self._broker: Broker | None = None
        self._lanes: dict[int, Lane] | None = None
        """By partition, while new events go there."""
        self._open_lanes = False
        self._in_lanes: dict[Parcel, None] = {}
        """In the order in which they were published."""
        self._failed: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._queued = 0
        self._queued_bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self._away_since: datetime = clock()
        self._reason: WorkbenchError | None = None
        self._orphan_trouble: SpoolUnusable | None = None

    @property
    def queued(self) -> int:
        """Events that wait or are on their way."""
        return self._queued

    @property
    def spooled_events(self) -> int:
        """Events in this process's spool."""
        return self._spooler.spool.events

    @property
    def spooled_bytes(self) -> int:
        """Bytes that they take of it."""
        return self._spooler.spool.bytes

    @property
    def away(self) -> bool:
        """Whether the broker is away, or back and not yet in possession of what is in the spool."""
        return not self._open_lanes

    async def open(self) -> None:
        """Begin to connect; events can be published from now on."""
        self._running = asyncio.create_task(self._run(), name="connection to the broker")

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:
        if not events:
            return []
        if self._closed:
            raise Overloaded("This process is shutting down and takes no more events.")
        parcel = Parcel.pack(events, shards, asyncio.get_running_loop().create_future())
        self._admit(parcel)
        self._queued += len(events)
        self._queued_bytes += parcel.size
        self._empty.clear()
        if self._lanes is None:
            self._spooler.put(parcel)
        else:
            self._put_on_lanes(parcel)
        return await parcel.answer

    async def check(self) -> Readiness:
        if self._closed:
            raise WorkbenchError("This process is shutting down.")
        if self._lanes is not None:
            trouble = self._orphan_trouble
            return Readiness(durable_by="broker", warning=None if trouble is None else str(trouble))
        state = self._describe()
        if isinstance(self._spooler.trouble, SpoolUnusable):
            raise self._spooler.trouble
        # Where the largest event does not fit, some of what is sent is refused already.
        if self._spooler.trouble is not None or self._spooler.room < 2 * self._settings.limits.event_bytes:
            raise StreamUnavailable(f"{state} The spool is full.")
        return Readiness(durable_by="spool", warning=state)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.kafka.publish_seconds):
                await self._empty.wait()
        if self._in_lanes:
            self._give_up(StreamUnavailable("This process is shutting down."))
        await self._spooler.until_idle()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if self._broker is not None:
            await self._broker.close()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=1)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._spooler.close()

    def _admit(self, parcel: Parcel) -> None:
        if self._queued and self._queued_bytes + parcel.size > self._in_flight_bytes:
            raise Overloaded(f"{self._queued} events wait for being published already; none of these was taken.")
        if self._lanes is None and self._spooler.room < parcel.size:
            raise Overloaded(f"{self._describe()} The spool has no room for these events; none of them was taken.")

    def _put_on_lanes(self, parcel: Parcel) -> None:
        assert self._broker is not None
        assert self._lanes is not None
        parts = parcel.split(self._broker.partitions)
        parcel.open_parts = len(parts)
        self._in_lanes[parcel] = None
        for partition, records in parts.items():
            lane = self._lanes.get(partition)
            if lane is None:
                lane = self._lanes[partition] = Lane(
                    partition,
                    self._broker,
                    acknowledge=self._acknowledge,
                    fail=self._give_up,
                    observe=self._observe,
                )
                if self._open_lanes:
                    lane.open()
            lane.put(parcel, records)

    def _acknowledge(self, parcel: Parcel) -> None:
        parcel.open_parts -= 1
        if parcel.open_parts == 0 and parcel in self._in_lanes:
            del self._in_lanes[parcel]
            self._settle(parcel, Fate.PUBLISHED)

    def _settle(self, parcel: Parcel, outcome: Fate | Exception) -> None:
        self._queued -= len(parcel.events)
        self._queued_bytes -= parcel.size
        if not self._queued:
            self._empty.set()
        parcel.tell(outcome)

    def _give_up(self, error: StreamError) -> None:
        """Be away: what the lanes hold goes into the spool, in its order, before anything newer does."""
        if self._broker is None:
            return
        log.warning("Events go into the spool: %s", error)
        self._away_since, self._reason = self._clock(), error
        ending = self._broker.abandon()
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        lanes, self._lanes, self._open_lanes, self._broker = self._lanes, None, False, None
        for lane in (lanes or {}).values():
            lane.close()
        parcels, self._in_lanes = self._in_lanes, {}
        for parcel in parcels:
            self._spooler.put(parcel)
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(None)

    async def _run(self) -> None:
        """Connect, drain, be direct until it fails; again, for ever."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._failed = None
            try:
                self._broker = await self._connect(self._settings)
                self._failed = asyncio.get_running_loop().create_future()
                await self._drain(self._broker)
                pause = FIRST_PAUSE_SECONDS
                log.info("Events go to the broker at %s.", self._servers)
                await self._watch(self._broker, self._failed)
            except StreamError as error:
                self._note(error)
            except Exception as error:
                log.exception("Publishing to the broker failed; trying again.")
                self._note(StreamUnavailable(f"Publishing failed: {error!r}."))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _note(self, error: StreamError) -> None:
        """Remember why there is no broker, unless a lane has told already."""
        if self._failed is None or not self._failed.done():
            self._reason = error
            self._give_up(error)

    async def _drain(self, broker: Broker) -> None:
        """Empty the spool, then let new events go to the broker."""
        spool = self._spooler.spool
        while spool.events > HANDOVER_EVENTS or spool.bytes > HANDOVER_BYTES:
            await self._drainer.move(broker)
        self._lanes = {}
        while not self._spooler.idle or spool.events:
            await self._spooler.until_idle()
            await self._drainer.move(broker)
        self._reason = None
        self._open_lanes = True
        for lane in self._lanes.values():
            lane.open()

    async def _watch(self, broker: Broker, failed: asyncio.Future[None]) -> None:
        """Return once the broker has failed; drain meanwhile what other processes left."""
        while not failed.done():
            try:
                drained = await self._drainer.move_orphan(broker)
                self._orphan_trouble = None
            except SpoolUnusable as error:
                if self._orphan_trouble is None:
                    log.error("%s", error)
                self._orphan_trouble, drained = error, False
            if not drained:
                await asyncio.wait({failed}, timeout=SECONDS_BETWEEN_ORPHANS)

    def _describe(self) -> str:
        """Why events go into the spool, and what is in it."""
        waiting = f"{self.spooled_events} events, {self.spooled_bytes} bytes wait in the spool."
        since = f"since {self._away_since:%Y-%m-%d %H:%M:%S} UTC"
        if self._broker is not None:
            return f"The broker at {self._servers} answers again; {waiting}"
        if self._reason is not None and not isinstance(self._reason, StreamUnavailable):
            return f"The broker at {self._servers} has not been published to {since}: {self._reason}\n{waiting}"
        told = f" ({self._reason.message})" if self._reason is not None else ""
        return f"The broker at {self._servers} has not answered {since}{told}; {waiting}"
