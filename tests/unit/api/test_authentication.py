"""Looking keys up: once for many requests, again soon enough for a revocation to be felt."""

from __future__ import annotations

import asyncio
import threading

import pytest
from starlette.requests import Request

from api.authentication import CACHED_KEYS, REVOCATION_SECONDS, STALE_SECONDS, UNKNOWN_SECONDS, Authenticator
from api.refusals import Refusal
from pipeline.core.errors import DatabaseUnavailable
from tests.unit.api.keys import KEY, Keys, grant

pytestmark = pytest.mark.anyio


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def request(key: str = KEY) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", f"Bearer {key}".encode())]})


async def status(authenticator: Authenticator, key: str = KEY) -> int:
    try:
        await authenticator.authorize(request(key), "ingest")
    except Refusal as refusal:
        return refusal.status
    return 200


async def test_a_revoked_key_is_refused_within_the_bound(keys: Keys) -> None:
    time = Time()
    authenticator = Authenticator(keys, monotonic=time)
    assert await status(authenticator) == 200
    del keys.grants[KEY]
    time.now += REVOCATION_SECONDS - 0.01
    assert await status(authenticator) == 200
    time.now += 0.01
    assert await status(authenticator) == 401
    assert len(keys.lookups) == 2


async def test_a_new_key_is_accepted_though_it_was_refused_a_second_ago(keys: Keys) -> None:
    time = Time()
    authenticator = Authenticator(keys, monotonic=time)
    assert [await status(authenticator, "new") for _ in range(3)] == [401] * 3
    assert len(keys.lookups) == 1
    keys.grants["new"] = grant()
    time.now += UNKNOWN_SECONDS
    assert await status(authenticator, "new") == 200


async def test_concurrent_requests_wait_for_one_lookup_and_one_that_leaves_harms_no_other(keys: Keys) -> None:
    authenticator = Authenticator(keys)
    requests = [asyncio.create_task(authenticator.authorize(request(), "ingest")) for _ in range(5)]
    await asyncio.sleep(0)
    requests[0].cancel()
    grants = await asyncio.gather(*requests[1:])
    assert grants == [keys.grants[KEY]] * 4
    assert len(keys.lookups) == 1


async def test_a_lookup_that_failed_is_not_remembered(keys: Keys) -> None:
    authenticator = Authenticator(keys)
    keys.failure = DatabaseUnavailable()
    assert await status(authenticator) == 503
    keys.failure = None
    assert await status(authenticator) == 200


async def test_a_key_that_was_valid_opens_while_the_database_is_away_but_not_for_ever(keys: Keys) -> None:
    time = Time()
    authenticator = Authenticator(keys, monotonic=time)
    assert await status(authenticator) == 200
    keys.failure = DatabaseUnavailable()
    for _ in range(2):
        time.now += STALE_SECONDS / 2 - 1
        assert await status(authenticator) == 200
    time.now += 2
    assert await status(authenticator) == 503


async def test_a_key_that_was_revoked_opens_nothing_while_the_database_is_away(keys: Keys) -> None:
    time = Time()
    authenticator = Authenticator(keys, monotonic=time)
    assert await status(authenticator) == 200
    del keys.grants[KEY]
    time.now += REVOCATION_SECONDS
    assert await status(authenticator) == 401
    keys.failure = DatabaseUnavailable()
    time.now += REVOCATION_SECONDS
    assert await status(authenticator) == 503


async def test_keys_that_nobody_has_do_not_displace_one_that_was_valid(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.authentication.CACHED_KEYS", 3)
    time = Time()
    authenticator = Authenticator(keys, monotonic=time)
    assert await status(authenticator) == 200
    for number in range(10):
        assert await status(authenticator, f"unknown-{number}") == 401
    keys.failure = DatabaseUnavailable()
    time.now += REVOCATION_SECONDS
    assert await status(authenticator) == 200


async def test_a_silent_database_is_not_waited_for_where_an_earlier_answer_can_stand_in(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.authentication.PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("api.authentication.LONGEST_SECONDS", 0.01)
    time, speaks = Time(), threading.Event()
    authenticator = Authenticator(keys, monotonic=time)
    assert await status(authenticator) == 200
    monkeypatch.setattr(keys, "verify", lambda _: speaks.wait(30) and grant())
    time.now += REVOCATION_SECONDS
    try:
        assert [await status(authenticator) for _ in range(20)] == [200] * 20
        # Nor is it waited for by every request anew.
        monkeypatch.setattr("api.authentication.PATIENCE_SECONDS", 30)
        time.now += 30
        assert await status(authenticator) == 200
        assert await status(authenticator, "of somebody else") == 503
    finally:
        speaks.set()


async def test_unknown_keys_do_not_fill_the_memory(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.authentication.CACHED_KEYS", 3)
    authenticator = Authenticator(keys)
    for number in range(10):
        assert await status(authenticator, f"unknown-{number}") == 401
    assert len(authenticator._lookups) == 3
    assert CACHED_KEYS > 3
