"""A load generator for the ingest API: a process of its own, lean enough not to be what limits.

`python -m bench.load PLAN` sends what the plan (JSON) says and prints a report (JSON). A stream without
a rate keeps each of its connections busy. One with a rate sends at a constant pace whatever comes
back, and counts latency from when a request was due, so that a stalled server cannot hide its stall.
Event ids never repeat: one half is the run's, the other counts requests.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import uvloop

MARK = b"########"
"""Stands in an event id for the number of its request."""
SECONDS_FOR_THE_LAST = 30.0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one key; `rate` is requests a second, or null for as many as are answered."""

    key: str
    batch: int
    connections: int
    rate: float | None = None
    path: str = "/v1/events"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and for how long."""

    host: str
    port: int
    seconds: float
    streams: Sequence[Stream]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stream's requests; latencies in milliseconds."""

    requests: int
    events: int
    """In requests that were answered with 200."""
    statuses: dict[str, int]
    p50: float
    p95: float
    p99: float
    longest: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole plan; `cpu_share` is what the generator took of one core."""

    seconds: float
    cpu_share: float
    streams: Sequence[Sent]


async def run(plan: Plan) -> Report:
    """Carry the plan out."""
    cpu_began, began = time.process_time(), time.perf_counter()
    sent = await asyncio.gather(*(_Sender(plan, stream).send_all() for stream in plan.streams))
    seconds = time.perf_counter() - began
    return Report(
        seconds=round(seconds, 3), cpu_share=round((time.process_time() - cpu_began) / seconds, 3), streams=sent
    )


def make_body(batch: int) -> bytes:
    """A request's body, with MARK in each event's id: as many events of a hundred bytes of properties."""
    run_id = secrets.token_hex(4)
    events = [
        b'{"event_id":"%b-%b-4%03x-8000-%012x","event_type":"page_view","occurred_at":"2026-03-02T09:%02d:00Z",'
        b'"user_id":"u_%016x","session_id":"s_%016x","properties":{"duration_ms":%d,"path":"/reports/%d",'
        b'"plan":"team","referrer":"https://app.example.com/%d"}}'
        % (MARK, run_id[:4].encode(), 7, int(run_id, 16) * 10_000 + n, n % 60, n, n // 9, n % 4096, n % 64, n)
        for n in range(batch)
    ]
    return events[0] if batch == 1 else b"[" + b",".join(events) + b"]"


class _Sender:
    """Sends one stream."""

    def __init__(self, plan: Plan, stream: Stream) -> None:
        self._plan = plan
        self._stream = stream
        body = make_body(stream.batch)
        head = (
            f"POST {stream.path} HTTP/1.1\r\nHost: {plan.host}\r\nAuthorization: Bearer {stream.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._latencies: list[float] = []
        self._statuses: Counter[str] = Counter()

    async def send_all(self) -> Sent:
        began = time.perf_counter()
        numbers = itertools.count()
        await asyncio.gather(*(self._keep_sending(began, numbers) for _ in range(self._stream.connections)))
        latencies = sorted(self._latencies) or [0.0]
        return Sent(
            requests=sum(self._statuses.values()),
            events=self._statuses["200"] * self._stream.batch,
            statuses=dict(self._statuses),
            p50=_milliseconds(latencies, 0.50),
            p95=_milliseconds(latencies, 0.95),
            p99=_milliseconds(latencies, 0.99),
            longest=_milliseconds(latencies, 1.0),
        )

    async def _keep_sending(self, began: float, numbers: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection(self._plan.host, self._plan.port)
        end, rate = began + self._plan.seconds, self._stream.rate
        try:
            async with asyncio.timeout(self._plan.seconds + SECONDS_FOR_THE_LAST):
                while (now := time.perf_counter()) < end:
                    number = next(numbers)
                    due = now if rate is None else began + number / rate
                    if due > end:
                        return
                    if due > now:
                        await asyncio.sleep(due - now)
                    writer.write(self._request.replace(MARK, b"%08x" % number))
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(_length(head))
                    self._latencies.append(time.perf_counter() - due)
                    self._statuses[head[9:12].decode()] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._statuses[type(error).__name__] += 1
        finally:
            writer.close()


def _length(head: bytes) -> int:
    head = head.lower()
    start = head.index(b"content-length:") + 15
    return int(head[start : head.index(b"\r", start)])


def _milliseconds(latencies: Sequence[float], part: float) -> float:
    return round(1000 * latencies[min(len(latencies) - 1, int(part * len(latencies)))], 2)


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.argv[1].encode(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(plan))))
