"""Consuming, measured against its limit: a topic of twelve partitions drained into a table with a history.

Contenders take short turns whose order rotates, each with new events of the same shape:

    consumer     ours: `StreamConsumer` and `StreamLander`, from the broker to the commit that moves the offsets
    refused      the same, with one event in a thousand that PostgreSQL refuses (NUL in its JSON)
    undecodable  the same, with one record in a thousand that holds no event
    raw_copy     the limit: binary COPY of events that are in memory already into the same keyed table
    unkeyed      our consumer into the table of the published benchmarks; see `unkeyed.py`

A consumer's turn is timed from its first delivery that is durable to its last, so that joining the
group is not in it. It shares the machine with the broker, which raw COPY does not need.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial

import msgspec
from msgspec.structs import replace

from bench.feeding import Record, feed, records_of
from bench.landing import ADD_TENANT, FILL, TENANTS, make_events, raw_copy
from bench.stand import Stand, new_topic
from bench.unkeyed import UnkeyedLanding
from pipeline.core.database import ServiceRole
from pipeline.core.events import Event
from pipeline.core.settings import Settings
from pipeline.land.landing import StreamLander
from pipeline.stream.consumer import StreamConsumer
from pipeline.stream.consumption import Landed
from pipeline.stream.delivery import Landing

LEAST_OF_RAW_COPY = 0.6
MOST_POISON_LOSS = 0.1
"""The bars."""
PUBLISHED_UNKEYED = 181_818
"""Messages a second, of the best published sink into an unkeyed table, on other hardware."""
GOOD_FOR_ONE_POISONED = 1_000
TURN_SECONDS = 120.0
NUL = rb'{"path":"/reports/\u0000"}'

Change = Callable[[list[Event], random.Random], list[Record]]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn: rows a second, and what this process computed for each, in microseconds."""

    rows_per_second: int
    cpu_microseconds: float


class ConsumingBench(msgspec.Struct, frozen=True, kw_only=True):
    """Turns of each contender, and the medians of the ratios within a round."""

    history: int
    rows: int
    repeats: int
    turns: dict[str, list[Turn]]
    of_raw_copy: float
    poison_loss: dict[str, float]
    """By kind: which part of the throughput one bad record in a thousand costs."""
    unkeyed_of_published: float
    least_of_raw_copy: float = LEAST_OF_RAW_COPY
    most_poison_loss: float = MOST_POISON_LOSS
    published_unkeyed: int = PUBLISHED_UNKEYED


def measure(stand: Stand, *, rows: int = 60_000, repeats: int = 5, history: int = 1_000_000) -> ConsumingBench:
    """Measure on an empty deployment: `repeats` turns of `rows` rows each. They go into it and stay."""
    with stand.database.connect_admin(autocommit=True) as admin:
        admin.cursor().executemany(ADD_TENANT, [(tenant, tenant) for tenant in TENANTS])
        admin.execute(FILL, {"history": history})
        admin.execute("vacuum analyze raw.usage_events")
        admin.execute("checkpoint")
    turns = asyncio.run(_take_turns(stand, rows, repeats))
    return ConsumingBench(
        history=history,
        rows=rows,
        repeats=repeats,
        turns=turns,
        of_raw_copy=_ratio(turns, "consumer", "raw_copy"),
        poison_loss={kind: round(1 - _ratio(turns, kind, "consumer"), 3) for kind in ("refused", "undecodable")},
        unkeyed_of_published=round(_median(turns["unkeyed"]) / PUBLISHED_UNKEYED, 3),
    )


async def _take_turns(stand: Stand, rows: int, repeats: int) -> dict[str, list[Turn]]:
    chance = random.Random(1)
    taken: dict[str, list[Turn]] = {}
    with _contenders(stand) as contenders:
        for contend in contenders.values():
            await contend(make_events(rows // 4, chance), chance)
        turns = list(contenders)
        for _ in range(repeats):
            turns = turns[1:] + turns[:1]
            for name in turns:
                taken.setdefault(name, []).append(await contenders[name](make_events(rows, chance), chance))
    return {name: taken[name] for name in contenders}


Contender = Callable[[list[Event], random.Random], Awaitable[Turn]]


@contextmanager
def _contenders(stand: Stand) -> Iterator[dict[str, Contender]]:
    def lander() -> StreamLander:
        return StreamLander(lambda: stand.database.connect(ServiceRole.LANDER))

    with (
        closing(lander()) as plain,
        closing(lander()) as refusing,
        closing(lander()) as skipping,
        closing(UnkeyedLanding(stand.database)) as unkeyed,
        stand.database.connect_admin() as admin,
    ):
        yield {
            "consumer": _drainer(stand, "consumer", plain, lambda events, _: records_of(events)),
            "refused": _drainer(stand, "refused", refusing, _with_refused),
            "undecodable": _drainer(stand, "undecodable", skipping, _with_undecodable),
            "raw_copy": partial(_copy_all, lambda events: raw_copy(admin, events)),
            "unkeyed": _drainer(stand, "unkeyed", unkeyed, lambda events, _: records_of(events)),
        }


def _drainer(stand: Stand, name: str, landing: Landing, change: Change) -> Contender:
    settings = stand.settings(new_topic(name))

    async def contend(events: list[Event], chance: random.Random) -> Turn:
        await feed(settings, change(events, chance))
        return await drain(settings, landing, len(events))

    return contend


async def drain(settings: Settings, landing: Landing, records: int) -> Turn:
    """Consume so many records, which are in the topic already, from where the landing is."""
    stop = asyncio.Event()
    done: list[tuple[float, float, int]] = []

    def observe(landed: Landed) -> None:
        done.append((time.perf_counter(), time.process_time(), landed.delivery.records))
        if sum(count for _, _, count in done) >= records:
            stop.set()

    async with asyncio.timeout(TURN_SECONDS):
        await StreamConsumer(settings, landing=landing, member="bench", observe=observe).run(stop)
    (began, cpu_began, first), (ended, cpu_ended, _) = done[0], done[-1]
    return _turn(records - first, ended - began, cpu_ended - cpu_began)


async def _copy_all(copy: Callable[[Sequence[Event]], None], events: list[Event], _: random.Random) -> Turn:
    began, cpu_began = time.perf_counter(), time.process_time()
    copy(events)
    return _turn(len(events), time.perf_counter() - began, time.process_time() - cpu_began)


def _with_refused(events: list[Event], chance: random.Random) -> list[Record]:
    for index in chance.sample(range(len(events)), len(events) // GOOD_FOR_ONE_POISONED):
        events[index] = replace(events[index], properties=NUL)
    return records_of(events)


def _with_undecodable(events: list[Event], chance: random.Random) -> list[Record]:
    records = records_of(events)
    for index in chance.sample(range(len(records)), len(records) // GOOD_FOR_ONE_POISONED):
        number, key, value = records[index]
        records[index] = (number, key, value[: len(value) // 2])
    return records


def _turn(rows: int, seconds: float, cpu_seconds: float) -> Turn:
    return Turn(rows_per_second=round(rows / seconds), cpu_microseconds=round(1e6 * cpu_seconds / rows, 2))


def _ratio(turns: Mapping[str, Sequence[Turn]], ours: str, theirs: str) -> float:
    ratios = [a.rows_per_second / b.rows_per_second for a, b in zip(turns[ours], turns[theirs], strict=True)]
    return round(statistics.median(ratios), 3)


def _median(turns: Sequence[Turn]) -> float:
    return statistics.median(turn.rows_per_second for turn in turns)
