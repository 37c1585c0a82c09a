"""Landing, measured against its limit and against row-wise consumers.

All contenders write new rows into the same keyed and indexed `raw.usage_events`, which has a history
already, in short turns whose order rotates, so that the growth of the table and the moods of the
machine meet each alike:

    landing        ours: `Lander.land` in batches of 10,000, with deduplication, ledger and progress
    raw_copy       the limit: binary COPY of the same batches by a role exempt from row security,
                   which can only fail at a duplicate
    execute_batch  a plain consumer: psycopg2's `execute_batch` of 100 inserts, one commit each
    executemany    a better one: the same on psycopg 3, which prepares and pipelines the inserts

Run it on real durability settings: a server without fsync flatters whoever commits most often.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import psycopg2  # it has no types; dbt brings it
import psycopg2.extras

from pipeline.core.database import Database, ServiceRole
from pipeline.core.events import Event
from pipeline.land.landing import Lander

BATCH = 10_000
PAGE = 100
LEAST_OF_RAW_COPY = 0.55
LEAST_OF_EXECUTE_BATCH = 4.0
"""The bars."""
ROW_WISE_SHARE = 5
"""Row-wise consumers get a fifth of the rows: they take their time, and keep one pace."""

ADD_TENANT = "insert into control.tenants (tenant_id, display_name) values (%s, %s) on conflict do nothing"
FILL = """
insert into raw.usage_events (
    tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
)
select
    'bench-' || lpad((n %% 25)::text, 2, '0'), gen_random_uuid(), 'page_view', now(), now(),
    'u_' || lpad((n %% 1000)::text, 16, '0'), 's_' || lpad((n / 20)::text, 16, '0'),
    jsonb_build_object('duration_ms', n %% 4096, 'path', '/reports/' || n %% 64, 'plan', 'team'),
    decode(md5(n::text), 'hex')
from generate_series(1, %(history)s) as n
"""
COPY = """
copy raw.usage_events (
    tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
) from stdin (format binary)
"""
WIRE_TYPES = ("text", "uuid", "text", "timestamptz", "timestamptz", "text", "text", "bytea", "bytea")
INSERT = """
insert into raw.usage_events (
    tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant_id, event_id) do nothing
"""

TENANTS = tuple(f"bench-{number:02}" for number in range(25))
EVENT_TYPES = ("page_view", "api_call", "feature_usage", "button_click", "form_submit")
BEGINNING = datetime(2026, 3, 2, tzinfo=UTC)

Contender = Callable[[Sequence[Event]], None]


class LandingBench(msgspec.Struct, frozen=True, kw_only=True):
    """Rows per second of each contender, one figure a repeat, and the medians of landing's ratios to the others."""

    history: int
    rows: int
    repeats: int
    fsync: bool
    rows_per_second: dict[str, list[int]]
    ratios: dict[str, float]
    least_of_raw_copy: float = LEAST_OF_RAW_COPY
    least_of_execute_batch: float = LEAST_OF_EXECUTE_BATCH


def measure(database: Database, *, rows: int = 20_000, repeats: int = 21, history: int = 1_000_000) -> LandingBench:
    """Measure on an empty deployment: `repeats` turns of `rows` rows each. They go into it and stay."""
    with database.connect_admin(autocommit=True) as admin:
        admin.cursor().executemany(ADD_TENANT, [(tenant, tenant) for tenant in TENANTS])
        admin.execute(FILL, {"history": history})
        admin.execute("vacuum analyze raw.usage_events")
        durable = admin.execute("show fsync").fetchall() == [("on",)]
    chance = random.Random(1)
    rates: dict[str, list[int]] = {}
    with _contenders(database) as contenders:
        for contend in contenders.values():
            contend(make_events(BATCH, chance))
        turns = list(contenders)
        for _ in range(repeats):
            turns = turns[1:] + turns[:1]
            for name in turns:
                events = make_events(rows // _share(name), chance)
                rates.setdefault(name, []).append(_rows_per_second(contenders[name], events))
    return LandingBench(
        history=history,
        rows=rows,
        repeats=repeats,
        fsync=durable,
        rows_per_second={name: rates[name] for name in contenders},
        ratios={name: _median_ratio(rates["landing"], rates[name]) for name in contenders if name != "landing"},
    )


def make_events(number: int, chance: random.Random) -> list[Event]:
    """New events in the shape of real ones: few large tenants and many small, a hundred bytes of properties."""
    weights = [1 / rank for rank in range(1, len(TENANTS) + 1)]
    return [
        _make_event(tenant, BEGINNING + timedelta(milliseconds=37 * n), chance)
        for n, tenant in enumerate(chance.choices(TENANTS, weights, k=number))
    ]


def _make_event(tenant: str, moment: datetime, chance: random.Random) -> Event:
    user = chance.getrandbits(10)
    properties = b'{"duration_ms":%d,"path":"/reports/%d","plan":"team","referrer":"https://app.example.com/%d"}' % (
        chance.getrandbits(12),
        chance.getrandbits(6),
        chance.getrandbits(16),
    )
    return Event(
        tenant_id=tenant,
        event_id=UUID(int=chance.getrandbits(128), version=4),
        event_type=chance.choice(EVENT_TYPES),
        occurred_at=moment,
        received_at=moment + timedelta(seconds=1),
        user_id=f"u_{user:016x}",
        session_id=f"s_{user:08x}{moment.hour:08x}",
        properties=properties,
        payload_hash=blake2b(properties, digest_size=16).digest(),
        original=properties,
    )


@contextmanager
def _contenders(database: Database) -> Iterator[dict[str, Contender]]:
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    with (
        closing(lander),
        database.connect_admin() as admin,
        database.connect(ServiceRole.LANDER) as consumer,
        closing(psycopg2.connect(database.url(ServiceRole.LANDER))) as old_consumer,
    ):
        yield {
            "landing": lambda events: _in_parts(events, BATCH, lander.land),
            "raw_copy": lambda events: raw_copy(admin, events),
            "execute_batch": lambda events: _in_parts(events, PAGE, lambda part: _execute_batch(old_consumer, part)),
            "executemany": lambda events: _in_parts(events, PAGE, lambda part: _executemany(consumer, part)),
        }


def _in_parts(events: Sequence[Event], size: int, write: Callable[[Sequence[Event]], object]) -> None:
    for start in range(0, len(events), size):
        write(events[start : start + size])


def raw_copy(connection: psycopg.Connection, events: Sequence[Event]) -> None:
    """The limit: binary COPY in batches into the table itself, one commit each."""
    _in_parts(events, BATCH, lambda part: _copy(connection, part))


def _copy(connection: psycopg.Connection, events: Sequence[Event]) -> None:
    with connection.cursor().copy(COPY) as copy:
        copy.set_types(WIRE_TYPES)
        for event in events:
            copy.write_row(_row(event, b"\x01" + event.properties))
    connection.commit()


def _execute_batch(connection: Any, events: Sequence[Event]) -> None:
    rows = [_row(event, event.properties.decode(), event_id=str(event.event_id)) for event in events]
    with connection.cursor() as cursor:
        psycopg2.extras.execute_batch(cursor, INSERT, rows, page_size=PAGE)
    connection.commit()


def _executemany(connection: psycopg.Connection, events: Sequence[Event]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [_row(event, event.properties.decode()) for event in events])
    connection.commit()


def _row(event: Event, properties: str | bytes, *, event_id: UUID | str | None = None) -> tuple[Any, ...]:
    return (
        event.tenant_id,
        event_id or event.event_id,
        event.event_type,
        event.occurred_at,
        event.received_at,
        event.user_id,
        event.session_id,
        properties,
        event.payload_hash,
    )


def _share(name: str) -> int:
    return ROW_WISE_SHARE if name in {"execute_batch", "executemany"} else 1


def _rows_per_second(contend: Contender, events: Sequence[Event]) -> int:
    began = time.perf_counter()
    contend(events)
    return round(len(events) / (time.perf_counter() - began))


def _median_ratio(ours: Sequence[int], theirs: Sequence[int]) -> float:
    return round(statistics.median(our / their for our, their in zip(ours, theirs, strict=True)), 3)
