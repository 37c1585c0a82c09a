"""POST /v1/events: the fate of every event, told when it is durable. Refused requests: test_refusals.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import create_app
from pipeline.core.errors import DatabaseUnavailable, WorkbenchError
from pipeline.core.events import Event, Fate, Landed
from pipeline.stream.memory import MemoryPublisher
from pipeline.stream.port import Overloaded
from tests.unit.api.conftest import NOW, Door
from tests.unit.api.keys import KEY, Keys

pytestmark = pytest.mark.anyio
LINES = {"Content-Type": "application/x-ndjson; charset=utf-8"}


def sent(**overrides: Any) -> dict[str, Any]:
    return {"event_id": str(uuid4()), "event_type": "page_view"} | overrides


async def test_one_event_is_stored_as_the_keys_tenants(door: Door, publisher: MemoryPublisher) -> None:
    one = sent(user_id="u1")
    async with door() as client:
        answer = await client.post("/v1/events", json=one)
    assert answer.status_code == 200
    assert answer.json() == {
        "results": [
            {"index": 0, "event_id": one["event_id"], "outcome": "accepted", "reason": None, "retryable": False}
        ],
        "accepted": 1,
        "spooled": 0,
        "duplicate": 0,
        "conflict": 0,
        "invalid": 0,
    }
    stored = publisher.stored["acme", UUID(one["event_id"])]
    assert (stored.user_id, stored.received_at, stored.original) == ("u1", NOW, answer.request.content)


async def test_each_event_of_a_mixed_request_has_its_own_outcome(door: Door, publisher: MemoryPublisher) -> None:
    first, second = sent(), sent()
    texts = [
        json.dumps(first),
        '{"event_type":"page_view","properties":{"ratio":NaN}}',
        json.dumps(first),
        json.dumps(first | {"user_id": "another"}),
        '{"event_type":"page_view","user_id":"\\ud800 [,"}',
        "[" * 5000 + "]" * 5000,
        "7",
        json.dumps(second),
    ]
    async with door() as client:
        array = await client.post("/v1/events", content=f"[{','.join(texts)}]")
        lines = await client.post("/v1/events", content="\r\n\n".join(texts), headers=LINES)
    poison = ["invalid", "invalid", "invalid"]
    assert outcomes(array) == ["accepted", "invalid", "duplicate", "conflict", *poison, "accepted"]
    assert outcomes(lines) == ["duplicate", "invalid", "duplicate", "conflict", *poison, "duplicate"]
    assert (array.status_code, lines.status_code) == (207, 207)
    assert [result["index"] for result in array.json()["results"]] == list(range(8))
    assert {key: value for key, value in array.json().items() if key != "results"} == {
        "accepted": 2,
        "spooled": 0,
        "duplicate": 1,
        "conflict": 1,
        "invalid": 4,
    }
    assert len(publisher.stored) == 2


def outcomes(answer: httpx.Response) -> list[str]:
    return [result["outcome"] for result in answer.json()["results"]]


@pytest.mark.parametrize(
    ("fates", "status"),
    [
        ([Fate.STORED, Fate.DUPLICATE], 200),
        ([Fate.DUPLICATE], 200),
        ([Fate.PUBLISHED, Fate.SPOOLED], 200),
        ([Fate.SPOOLED, Fate.CONFLICT], 207),
        ([Fate.STORED, Fate.CONFLICT], 207),
        ([Fate.DUPLICATE, Fate.DEAD_LETTERED], 207),
        ([Fate.CONFLICT, Fate.CONFLICT], 409),
        ([Fate.CONFLICT, Fate.DEAD_LETTERED], 422),
        ([Fate.DEAD_LETTERED], 422),
    ],
)
async def test_the_status_sums_the_outcomes_up(fates: list[Fate], status: int, door: Door) -> None:
    class Decided(MemoryPublisher):
        async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
            return [Landed(fate=fate, detail="why") for fate, _ in zip(fates, events, strict=True)]

    async with door(publisher=Decided()) as client:
        answer = await client.post("/v1/events", json=[sent() for _ in fates])
    assert answer.status_code == status
    assert {result["reason"] for result in answer.json()["results"]} == {"why"}


async def test_nothing_is_answered_before_it_is_durable(door: Door) -> None:
    durable = asyncio.Event()

    class Slow(MemoryPublisher):
        async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
            landed = await super().publish(events)
            await durable.wait()
            return landed

    publisher = Slow()
    async with door(publisher=publisher) as client:
        answering = asyncio.create_task(client.post("/v1/events", json=sent()))
        while not publisher.stored:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not answering.done()
        durable.set()
        assert (await answering).status_code == 200


async def test_a_request_in_doubt_can_be_retried_with_the_ids_that_it_is_told(
    door: Door, publisher: MemoryPublisher
) -> None:
    publisher.failure = DatabaseUnavailable("no route to 10.0.0.7")
    with_id, without = sent(), {"event_type": "page_view"}
    async with door() as client:
        doubtful = await client.post("/v1/events", json=[with_id, {"event_type": 1}, without])
        certain = await client.post("/v1/events", json=with_id)
        publisher.failure = Overloaded()
        refused = await client.post("/v1/events", json=without)
    assert [answer.status_code for answer in (doubtful, certain, refused)] == [503, 503, 503]
    assert doubtful.headers["retry-after"] == "2"
    assert doubtful.json()["code"] == "unavailable"
    (told,) = doubtful.json()["details"]["retry_with"]
    assert (told["index"], UUID(told["event_id"]).version) == (2, 7)
    assert "10.0.0.7" not in doubtful.text
    assert "details" not in certain.json()
    assert (refused.json()["code"], "details" in refused.json()) == ("overloaded", False)


class Troubled(MemoryPublisher):
    """Fails as told before each publish: not at all, before storing, or after it."""

    def __init__(self, troubles: list[str]) -> None:
        super().__init__()
        self.troubles = troubles

    async def publish(self, events: Sequence[Event], *, shards: int = 1) -> list[Landed]:  # noqa: ARG002
        trouble = self.troubles.pop() if self.troubles else "none"
        if trouble == "overloaded":
            raise Overloaded
        landed = await super().publish(events) if trouble != "lost before" else []
        if trouble != "none":
            raise DatabaseUnavailable
        return landed


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "not valid"])), min_size=1, max_size=6),
    st.lists(st.sampled_from(["overloaded", "lost before", "lost after"]), max_size=5),
)
def test_retrying_as_told_stores_every_valid_event_exactly_once(
    events: list[tuple[bool, str]], troubles: list[str]
) -> None:
    body = [{"event_type": kind} | ({"event_id": str(uuid4())} if has_id else {}) for has_id, kind in events]
    publisher = Troubled(list(troubles))

    async def send_until_answered() -> httpx.Response:
        app = create_app(publisher=publisher, keys=Keys())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as client:
            while True:
                answer = await client.post("/v1/events", json=body, headers={"Authorization": f"Bearer {KEY}"})
                if answer.status_code != 503:
                    return answer
                for told in answer.json().get("details", {}).get("retry_with", []):
                    body[told["index"]]["event_id"] = told["event_id"]

    answer = asyncio.run(send_until_answered())
    valid = [index for index, (_, kind) in enumerate(events) if kind != "not valid"]
    assert len(publisher.stored) == len(valid)
    assert not publisher.conflicts
    assert [outcome in ("accepted", "duplicate") for outcome in outcomes(answer)] == [
        index in valid for index in range(len(body))
    ]


async def test_a_defect_is_answered_in_our_shape_without_its_text(door: Door, publisher: MemoryPublisher) -> None:
    class Defect(WorkbenchError):
        """internal detail"""

    publisher.failure = Defect()
    async with door() as client:
        answer = await client.post("/v1/events", json=sent())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "detail" not in answer.json()["message"]
    assert "retry-after" not in answer.headers
