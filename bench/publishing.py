"""The API in Kafka mode, measured against its limit: a bare handler that reads and parses the same bodies.

    api       ours: `workbench serve`, until the broker has acknowledged each event of the request
    msgspec   the limit: `bare.py`, which parses with msgspec and keeps nothing
    json      the same with the standard library's parser, for reference

Contenders take short turns whose order rotates; each has a few keep-alive connections that are never
idle. Client, server and broker share the machine, and the bare handler needs no broker; what the
server's process computes for an event is told beside the rates, and shakes less than they do.

Then single events at a constant rate, which tells the latency that a client sees.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args
from urllib.parse import urlsplit

import msgspec

from bench.load import Plan, Report, Sent, Stream
from bench.stand import Child, Stand, new_topic, serving
from broker.ports import free_port
from pipeline.core.key_register import create_key
from pipeline.core.tenants import add_tenant

BATCHES = (1, 100, 500)
CONNECTIONS = 8
RATE = 300
LEAST_OF_BARE = 0.4
MOST_P99_MILLISECONDS = 50
"""The bars: of the rate with the largest batches, and of single events at RATE requests a second."""
RUNNING = re.compile(r"running on (http://\S+)")

Way = Literal["api", "msgspec", "json"]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """One turn; `client_cpu_share` is what the load generator took of one core."""

    events_per_second: int
    server_cpu_microseconds: float
    """For each event, in the server's process."""
    client_cpu_share: float


class Publishing(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of one size: the turns of each way, and the median of the API's ratio to the limit."""

    batch: int
    turns: dict[Way, list[Rate]]
    of_bare: float
    cpu_of_bare: float
    """The limit's computing for an event over the API's."""


class PublishingBench(msgspec.Struct, frozen=True, kw_only=True):
    """All sizes, and the latency of single events at a constant rate."""

    sizes: Sequence[Publishing]
    rate: int
    latency: Sent
    least_of_bare: float = LEAST_OF_BARE
    most_p99_milliseconds: int = MOST_P99_MILLISECONDS


class Server(msgspec.Struct, frozen=True):
    """A server under load: its process, and where it listens."""

    child: Child
    host: str
    port: int
    path: str
    key: str


def measure(stand: Stand, *, seconds: float = 3, repeats: int = 5, latency_seconds: float = 20) -> PublishingBench:
    """Measure on an empty deployment: `repeats` turns of so many seconds for each size and way."""
    with _servers(stand) as servers:
        for server in servers.values():
            _send(server, batch=100, seconds=2)
        sizes = [_measure_size(servers, batch, seconds, repeats) for batch in BATCHES]
        _send(servers["api"], batch=1, seconds=2, rate=RATE)
        [latency] = _send(servers["api"], batch=1, seconds=latency_seconds, rate=RATE).streams
    return PublishingBench(sizes=sizes, rate=RATE, latency=latency)


def new_key(stand: Stand, tenant: str) -> str:
    """The key of a new tenant."""
    add_tenant(stand.database, tenant)
    return create_key(stand.database, tenant)


def generate(plan: Plan) -> Report:
    """Carry a plan out in a process of its own."""
    command = [sys.executable, "-m", "bench.load", msgspec.json.encode(plan).decode()]
    told = subprocess.run(command, capture_output=True, timeout=plan.seconds + 60, check=True)
    return msgspec.json.decode(told.stdout, type=Report)


def _measure_size(servers: Mapping[Way, Server], batch: int, seconds: float, repeats: int) -> Publishing:
    turns: dict[Way, list[Rate]] = {way: [] for way in servers}
    order = list(servers)
    for _ in range(repeats):
        order = order[1:] + order[:1]
        for way in order:
            turns[way].append(_take_turn(servers[way], batch, seconds))
    pairs = list(zip(turns["api"], turns["msgspec"], strict=True))
    return Publishing(
        batch=batch,
        turns=turns,
        of_bare=round(statistics.median(api.events_per_second / bare.events_per_second for api, bare in pairs), 3),
        cpu_of_bare=round(
            statistics.median(bare.server_cpu_microseconds / api.server_cpu_microseconds for api, bare in pairs), 3
        ),
    )


def _take_turn(server: Server, batch: int, seconds: float) -> Rate:
    cpu_began = server.child.cpu_seconds
    report = _send(server, batch=batch, seconds=seconds)
    [sent] = report.streams
    if set(sent.statuses) != {"200"}:
        raise AssertionError(f"requests failed: {sent.statuses}")
    return Rate(
        events_per_second=round(sent.events / report.seconds),
        server_cpu_microseconds=round(1e6 * (server.child.cpu_seconds - cpu_began) / sent.events, 2),
        client_cpu_share=report.cpu_share,
    )


def _send(server: Server, *, batch: int, seconds: float, rate: float | None = None) -> Report:
    stream = Stream(key=server.key, batch=batch, connections=CONNECTIONS, rate=rate, path=server.path)
    return generate(Plan(host=server.host, port=server.port, seconds=seconds, streams=[stream]))


@contextmanager
def _servers(stand: Stand) -> Iterator[dict[Way, Server]]:
    ways: tuple[Way, ...] = get_args(Way)
    port = free_port()
    bare_command = [sys.executable, "-m", "bench.bare", str(port)]
    with ExitStack() as children:
        api, url = children.enter_context(serving(stand, new_topic("publishing")))
        bare = children.enter_context(Child(bare_command, {}, stand.home / "bare.log"))
        bare.wait_for(RUNNING)
        address = urlsplit(url)
        yield {
            way: Server(api, str(address.hostname), address.port or 0, "/v1/events", new_key(stand, "bench"))
            if way == "api"
            else Server(bare, "127.0.0.1", port, f"/{way}", "none")
            for way in ways
        }
