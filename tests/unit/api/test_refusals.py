"""Whole requests that are refused: which, with what, and that no refusal repeats the request."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.settings import IngestLimits
from pipeline.stream.memory import MemoryPublisher
from tests.unit.api.conftest import Door
from tests.unit.api.keys import KEY, Keys, grant

pytestmark = pytest.mark.anyio
EVENT = b'{"event_type":"page_view"}'
LIMITS = IngestLimits(wire_bytes=200, body_bytes=1_000, events=3)


async def post(door: Door, content: bytes = EVENT, **headers: str) -> httpx.Response:
    async with door(limits=LIMITS) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post("/v1/events", content=content, headers=named)


@pytest.mark.parametrize(
    ("status", "code", "content", "headers"),
    [
        (415, "unsupported_media_type", EVENT, {"content_type": "text/plain"}),
        (415, "unsupported_media_type", EVENT, {"content_type": ""}),
        (415, "unsupported_charset", EVENT, {"content_type": "application/json; charset=utf-16"}),
        (415, "unsupported_encoding", EVENT, {"content_encoding": "br"}),
        (415, "unsupported_encoding", gzip.compress(gzip.compress(EVENT)), {"content_encoding": "gzip, gzip"}),
        (400, "malformed_gzip", EVENT, {"content_encoding": "gzip"}),
        (400, "malformed_gzip", gzip.compress(EVENT)[:-1], {"content_encoding": "gzip"}),
        (400, "malformed_gzip", gzip.compress(EVENT) + b"more", {"content_encoding": "gzip"}),
        (413, "body_too_large", b" " * 201, {}),
        (413, "inflated_body_too_large", gzip.compress(b" " * 1_001), {"content_encoding": "gzip"}),
        (413, "too_many_events", b"[1,1,1,1]", {}),
        (413, "too_many_events", b"1\n1\n1\n1", {"content_type": "application/x-ndjson"}),
        (400, "no_events", b"", {}),
        (400, "no_events", b" [ ] ", {}),
        (400, "no_events", b"\n\r\n", {"content_type": "application/x-ndjson"}),
        (400, "malformed_array", b"[" + EVENT, {}),
        (400, "malformed_array", b"[" + EVENT + b"] []", {}),
    ],
    # Compressed bytes carry the time, and names of tests must not.
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,
)
async def test_a_request_that_cannot_be_cut_into_events_is_refused(
    status: int, code: str, content: bytes, headers: dict[str, str], door: Door, publisher: MemoryPublisher
) -> None:
    answer = await post(door, content, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}
    assert answer.headers["content-type"] == "application/json"
    assert "retry-after" not in answer.headers
    assert not publisher.stored


async def test_what_is_within_the_limits_goes_through(door: Door) -> None:
    members = b"".join(gzip.compress(part) for part in (b"[" + EVENT, b"," + EVENT, b"," + EVENT + b"]"))
    answer = await post(door, members, content_encoding="GZIP", content_type="Application/JSON ; charset=UTF-8")
    assert answer.json()["accepted"] == 3
    assert (await post(door, EVENT + b" " * 174)).status_code == 200


async def test_a_body_of_unknown_length_is_measured_as_it_comes(door: Door) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    async with door(limits=LIMITS) as client:
        answer = await client.post("/v1/events", content=endless())
    assert answer.json()["code"] == "body_too_large"
    assert answer.headers["connection"] == "close"


async def test_every_cause_of_a_401_has_the_same_answer(door: Door, keys: Keys) -> None:
    causes: list[list[tuple[str, str]]] = [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer unknown")],
        [("Authorization", f"Basic {KEY}")],
        [("Authorization", f"Bearer {KEY} {KEY}")],
        [("Authorization", f"Bearer {KEY}é")],
        [("Authorization", f"Bearer {'x' * 100_000}")],
        [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")],
    ]
    bodies = set()
    async with door() as client:
        del client.headers["authorization"]
        for cause in causes:
            headers = [(name.encode(), value.encode("latin-1")) for name, value in cause]
            answer = await client.post("/v1/events", content=EVENT, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            bodies.add(answer.content)
    assert len(bodies) == 1
    assert b'"code":"unauthorized"' in bodies.pop()
    assert not [presented for presented in keys.lookups if len(presented) > 256]


@pytest.mark.parametrize(
    ("overrides", "code"),
    [({"suspended": True}, "tenant_suspended"), ({"scopes": frozenset({"read"})}, "missing_scope")],
)
async def test_a_key_that_may_not_send_events_is_told_so(
    overrides: dict[str, Any], code: str, door: Door, keys: Keys
) -> None:
    keys.grants[KEY] = grant(**overrides)
    answer = await post(door)
    assert (answer.status_code, answer.json()["code"]) == (403, code)


async def test_a_tenants_list_of_types_holds_per_event(door: Door, keys: Keys) -> None:
    keys.grants[KEY] = grant(allowed_types=frozenset({"page_view"}))
    answer = await post(door, b"[" + EVENT + b',{"event_type":"other"}]')
    assert [result["outcome"] for result in answer.json()["results"]] == ["accepted", "invalid"]


async def test_keys_that_cannot_be_verified_now_are_no_401(door: Door, keys: Keys) -> None:
    keys.failure = DatabaseUnavailable()
    answer = await post(door)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_bodies_beyond_what_the_process_holds_are_put_off_until_others_are_answered(door: Door) -> None:
    async with door(held_body_bytes=len(EVENT) + 5) as client:
        large = await client.post("/v1/events", content=EVENT + b" " * 6)
        assert (large.status_code, large.json()["code"]) == (503, "overloaded")
        assert large.headers["retry-after"] == "2"
        for _ in range(3):
            assert (await client.post("/v1/events", content=EVENT)).status_code == 200


async def test_paths_and_methods_that_are_not_ours_are_refused_in_our_shape(door: Door) -> None:
    async with door() as client:
        answers = [await client.get("/v1/events"), await client.post("/v1/s3cr3t"), await client.get("/docs")]
    assert [answer.status_code for answer in answers] == [405, 404, 404]
    assert answers[0].headers["allow"] == "POST"
    assert all(set(answer.json()) == {"code", "message"} for answer in answers)
    assert all("s3cr3t" not in answer.text for answer in answers)


async def test_a_connection_with_an_unread_body_is_closed(door: Door) -> None:
    async with door() as client:
        unread = await client.post("/v1/events", content=EVENT, headers={"Authorization": "Bearer unknown"})
        read = await client.post("/v1/events", content=EVENT)
    assert unread.headers["connection"] == "close"
    assert "connection" not in read.headers
