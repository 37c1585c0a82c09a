"""Memory of the API and of a consumer while PostgreSQL does not answer: all its processes are stopped, under load.

A stopped server is worse than a dead one: connections stay open and nothing ever comes back. Load goes
on all the while at a constant rate, before, during and after; the resident memory at the end of the
warm-up is what the largest one from then on is compared with.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec
import psutil

from bench.load import Plan, Report, Stream
from bench.publishing import generate, new_key
from bench.stand import Child, Stand, consuming, new_topic, serving

TENANTS = 10
BATCH = 20
RATE = 200.0
"""Requests a second, of all tenants together."""
CONNECTIONS = 8
WARM_UP_SECONDS = 30.0
AFTERWARDS_SECONDS = 20.0
MOST_GROWTH = 1.2
"""The bar."""
MEBIBYTE = 1_048_576


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Resident MiB at a moment, in seconds since PostgreSQL was stopped."""

    second: float
    api: float
    consumer: float


class MemoryBench(msgspec.Struct, frozen=True, kw_only=True):
    """All samples, and what each process grew by: the largest over that at the stop, during and after it."""

    stopped_seconds: int
    events_per_second: int
    """As sent."""
    accepted_per_second: dict[str, int]
    """Events in answers of 200, by phase: where it falls while PostgreSQL is stopped, so does the load on memory."""
    statuses: dict[str, dict[str, int]]
    p99_milliseconds: dict[str, float]
    api_growth: float
    consumer_growth: float
    samples: Sequence[Sample]
    most_growth: float = MOST_GROWTH


def measure(
    stand: Stand, *, seconds: int = 300, every: float = 5.0, warm_up: float = WARM_UP_SECONDS, rate: float = RATE
) -> MemoryBench:
    """Measure on an empty deployment, with PostgreSQL stopped for so many seconds."""
    topic = new_topic("memory")
    keys = [new_key(stand, f"tenant-{number:02}") for number in range(TENANTS)]
    reports: dict[str, Report] = {}
    with serving(stand, topic) as (api, url), consuming(stand, topic) as consumer, ThreadPoolExecutor(1) as threads:
        reports["before"] = _load(url, keys, warm_up, rate)
        samples = [_sample(0.0, api, consumer)]
        with _stopped(stand):
            load = threads.submit(_load, url, keys, seconds, rate)
            samples += _watch(seconds, every, api, consumer, after=0.0)
        reports["stopped"] = load.result()
        load = threads.submit(_load, url, keys, AFTERWARDS_SECONDS, rate)
        samples += _watch(AFTERWARDS_SECONDS, every, api, consumer, after=samples[-1].second)
        reports["after"] = load.result()
    return MemoryBench(
        stopped_seconds=seconds,
        events_per_second=round(rate * BATCH),
        accepted_per_second={
            phase: round(sum(sent.events for sent in report.streams) / report.seconds)
            for phase, report in reports.items()
        },
        statuses={phase: _statuses(report) for phase, report in reports.items()},
        p99_milliseconds={phase: max(sent.p99 for sent in report.streams) for phase, report in reports.items()},
        api_growth=round(max(sample.api for sample in samples) / samples[0].api, 3),
        consumer_growth=round(max(sample.consumer for sample in samples) / samples[0].consumer, 3),
        samples=samples,
    )


def _statuses(report: Report) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for sent in report.streams:
        counted.update(sent.statuses)
    return dict(counted)


def _load(url: str, keys: Sequence[str], seconds: float, rate: float) -> Report:
    address = urlsplit(url)
    streams = [Stream(key=key, batch=BATCH, connections=CONNECTIONS, rate=rate / len(keys)) for key in keys]
    return generate(Plan(host=str(address.hostname), port=address.port or 0, seconds=seconds, streams=streams))


def _watch(seconds: float, every: float, api: Child, consumer: Child, *, after: float) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while (passed := time.monotonic() - began) < seconds:
        time.sleep(min(every, seconds - passed))
        samples.append(_sample(after + time.monotonic() - began, api, consumer))
    return samples


def _sample(second: float, api: Child, consumer: Child) -> Sample:
    return Sample(
        second=round(second, 1),
        api=round(api.resident_bytes / MEBIBYTE, 1),
        consumer=round(consumer.resident_bytes / MEBIBYTE, 1),
    )


@contextmanager
def _stopped(stand: Stand) -> Iterator[None]:
    """All of the server's processes stopped, the one that starts others first."""
    server = stand.server.process()
    if server is None:
        raise AssertionError("PostgreSQL does not run")
    stopped: list[psutil.Process] = []
    try:
        server.suspend()
        stopped.append(server)
        for child in server.children(recursive=True):
            child.suspend()
            stopped.append(child)
        yield
    finally:
        for process in reversed(stopped):
            process.resume()
