"""Fairness: what a tenant that sends fifty times as much as the others does to the others' delay.

Twenty tenants send at a constant pace, with and without the loud one, in turns. The delay of an event
is from its acceptance by the API to the commit that stores it, as the consumer is told of it; tenants
share partitions, and the loud one shares its own with some.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from urllib.parse import urlsplit

import msgspec
import psutil

from bench.load import Plan, Report, Stream
from bench.publishing import generate, new_key
from bench.stand import Stand, new_topic, serving
from pipeline.core.clock import utc_now
from pipeline.core.database import ServiceRole
from pipeline.core.settings import Settings
from pipeline.land.landing import StreamLander
from pipeline.stream.consumer import StreamConsumer
from pipeline.stream.consumption import Landed

QUIET_TENANTS = 20
BATCH = 10
QUIET_RATE = 4.0
"""Requests a second of each."""
TIMES_AS_LOUD = 50
MOST_RATIO = 2.0
"""The bar: of the others' p95."""
LOUD = "loud"
SETTLE_SECONDS = 2.0


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Of the quiet tenants' events, in milliseconds."""

    events: int
    p50: float
    p95: float
    p99: float
    machine_busy: float
    """Which part of all cores computed, for whomever; near 1 a delay tells of the machine, not of fairness."""


class FairnessBench(msgspec.Struct, frozen=True, kw_only=True):
    """One figure a turn, and the median of the p95's ratios."""

    quiet_events_per_second: int
    """Of each quiet tenant."""
    quiet: Sequence[Delays]
    with_loud: Sequence[Delays]
    loud_events_per_second: int
    """As it was answered."""
    ratio: float
    most_ratio: float = MOST_RATIO


def measure(stand: Stand, *, seconds: float = 20, repeats: int = 3) -> FairnessBench:
    """Measure on an empty deployment: `repeats` pairs of turns of so many seconds."""
    topic = new_topic("fairness")
    keys = [new_key(stand, f"quiet-{number:02}") for number in range(QUIET_TENANTS)]
    loud_key = new_key(stand, LOUD)
    with serving(stand, topic) as (_, url), closing(_lander(stand)) as lander:
        return asyncio.run(_take_turns(stand.settings(topic), lander, url, keys, loud_key, seconds, repeats))


def _lander(stand: Stand) -> StreamLander:
    return StreamLander(lambda: stand.database.connect(ServiceRole.LANDER))


async def _take_turns(
    settings: Settings,
    lander: StreamLander,
    url: str,
    keys: Sequence[str],
    loud_key: str,
    seconds: float,
    repeats: int,
) -> FairnessBench:
    streams = [Stream(key=key, batch=BATCH, connections=2, rate=QUIET_RATE) for key in keys]
    loud = Stream(key=loud_key, batch=BATCH, connections=16, rate=QUIET_RATE * TIMES_AS_LOUD)
    quiet: list[Delays] = []
    with_loud: list[Delays] = []
    loud_rates: list[float] = []
    async with _consuming(settings, lander) as delays:
        await _send(url, [*streams, loud], seconds / 4)
        for _ in range(repeats):
            for turns, chosen in ((quiet, streams), (with_loud, [*streams, loud])):
                await asyncio.sleep(SETTLE_SECONDS)
                delays.clear()
                psutil.cpu_percent()
                report = await _send(url, chosen, seconds)
                busy = psutil.cpu_percent() / 100
                await asyncio.sleep(SETTLE_SECONDS)
                turns.append(_summarised(delays, busy))
                if chosen is not streams:
                    loud_rates.append(report.streams[-1].events / report.seconds)
    return FairnessBench(
        quiet_events_per_second=round(QUIET_RATE * BATCH),
        quiet=quiet,
        with_loud=with_loud,
        loud_events_per_second=round(statistics.median(loud_rates)),
        ratio=round(statistics.median(b.p95 / a.p95 for a, b in zip(quiet, with_loud, strict=True)), 2),
    )


@asynccontextmanager
async def _consuming(settings: Settings, lander: StreamLander) -> AsyncIterator[list[float]]:
    """A consumer at work; yields the delays of quiet tenants' events, in seconds, as they come."""
    delays: list[float] = []
    stop = asyncio.Event()

    def observe(landed: Landed) -> None:
        now = utc_now()
        delays.extend(
            (now - event.received_at).total_seconds() for event in landed.delivery.events if event.tenant_id != LOUD
        )

    consumer = StreamConsumer(settings, landing=lander, member="bench", observe=observe)
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield delays
    finally:
        stop.set()
        await running


async def _send(url: str, streams: Sequence[Stream], seconds: float) -> Report:
    address = urlsplit(url)
    plan = Plan(host=str(address.hostname), port=address.port or 0, seconds=seconds, streams=streams)
    return await asyncio.to_thread(generate, plan)


def _summarised(delays: Sequence[float], busy: float) -> Delays:
    points = statistics.quantiles(delays, n=100)
    p50, p95, p99 = (round(1000 * points[at - 1], 1) for at in (50, 95, 99))
    return Delays(events=len(delays), p50=p50, p95=p95, p99=p99, machine_busy=round(busy, 2))
