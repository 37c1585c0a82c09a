"""From HTTP to rows: what the door accepts PostgreSQL stores, as it was sent and once."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import create_app
from pipeline.core.database import Database, ServiceRole
from pipeline.land.landing import Lander
from pipeline.stream.embedded import EmbeddedPublisher
from tests.conftest import NewTenant
from tests.unit.api.keys import KEY, Keys

pytestmark = pytest.mark.anyio

LONGEST = "\U0010ffff" * 8_192
EXTREMES = [
    "{}",
    '{"": ""}',
    json.dumps({"n": {str(number): number for number in range(249)}}),
    json.dumps({"deep": [[[[[[["down"]]]]]]]}),
    json.dumps({"text": LONGEST}, ensure_ascii=False),
    json.dumps({LONGEST: 1}, ensure_ascii=False),
    json.dumps({"controls": "".join(map(chr, range(1, 32))) + "\x7f\u2028\ufeff\ufffe\uffff"}),
    '{"pair": "\\ud83d\\ude00", "quote": "\\"\\\\\\/"}',
    '{"ints": [9223372036854775807, -9223372036854775808, -0, 0]}',
    '{"floats": [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 1e22, 0.10000000000000001, 0e-999999]}',
    f'{{"digits": [0.{"0" * 97}1, 1.{"2" * 98}, {"9" * 50}.{"9" * 49}, 0.{"1" * 90}e-300]}}',
    '{"others": [true, false, null, [], {}]}',
]
EDGES: list[dict[str, Any]] = [
    {"event_type": "a" * 128},
    {"event_type": "a.0._.1"},
    {"user_id": "\U0010ffff" * 256, "session_id": "\x01"},
    {"occurred_at": "1970-01-01T00:00:00-00:00"},
    {"occurred_at": "2099-12-31T23:59:59.999999Z"},
    {"occurred_at": "2026-03-02T10:30:00.123456789+23:59"},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lander(database: Database, new_tenant: NewTenant) -> Iterator[Lander]:
    new_tenant("acme")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    yield lander
    lander.close()


@asynccontextmanager
async def open_door(lander: Lander) -> AsyncIterator[httpx.AsyncClient]:
    publisher = EmbeddedPublisher(lander.land, probe=lambda: None)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(publisher=publisher, keys=Keys())),
        base_url="http://door",
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-ndjson"},
        timeout=60,
    ) as client:
        yield client
    await publisher.close()


async def test_whatever_is_accepted_is_stored_as_it_was_sent(lander: Lander, database: Database) -> None:
    with_id = [
        f'{{"event_id": "{UUID(int=index)}", "event_type": "a", "properties": ' for index in range(len(EXTREMES))
    ]
    lines = [start + properties + "}" for start, properties in zip(with_id, EXTREMES, strict=True)]
    lines += [json.dumps({"event_type": "a"} | edge, ensure_ascii=False) for edge in EDGES]
    async with open_door(lander) as client:
        answer = (await client.post("/v1/events", content="\n".join(lines))).json()
        again = (await client.post("/v1/events", content="\n".join(lines[: len(EXTREMES)]))).json()
    assert [result["reason"] for result in answer["results"]] == [None] * len(lines)
    assert (answer["accepted"], again["duplicate"]) == (len(lines), len(EXTREMES))
    with database.connect(ServiceRole.STEWARD) as connection:
        rows = connection.execute("select event_id, properties::text from raw.usage_events").fetchall()
    stored = {event_id.int: exactly(properties) for event_id, properties in rows}
    assert [stored[index] for index in range(len(EXTREMES))] == [exactly(properties) for properties in EXTREMES]


def exactly(text: str) -> object:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


async def test_concurrent_clients_that_resend_each_others_events_store_each_once(
    lander: Lander, database: Database
) -> None:
    choose = random.Random(20260302)
    events = [json.dumps({"event_id": str(UUID(int=number)), "event_type": "a"}) for number in range(1, 301)]
    requests = [events[start : start + 30] for start in range(0, 300, 30)]
    requests += [choose.sample(events, 20) for _ in range(30)]
    choose.shuffle(requests)
    async with open_door(lander) as client:
        answers = await asyncio.gather(*(client.post("/v1/events", content="\n".join(request)) for request in requests))
    told = Counter[str]()
    for answer in answers:
        told.update(result["outcome"] for result in answer.json()["results"])
    assert told == {"accepted": 300, "duplicate": 600}
    with database.connect(ServiceRole.STEWARD) as connection:
        ledger = connection.execute(
            "select sum(accepted)::int, sum(stored)::int, sum(duplicate)::int from control.ingest_ledger"
        ).fetchone()
        stored = connection.execute("select count(*) from raw.usage_events").fetchone()
    assert ledger == (900, 300, 600)
    assert stored == (300,)
