"""A batch is sent until the fate of each event is known, whatever the network and the API do."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator

import httpx
import pytest

from pipeline.core.errors import ApiKeyError, StackError, WorkbenchError
from workbench.importing.account import LineOutcome
from workbench.importing.client import EventsClient, Verdict

Api = Callable[[list[bytes]], httpx.Response]

BUSY = httpx.Response(503, headers={"Retry-After": "7"}, json={"code": "overloaded", "message": "Busy."})


class Time:
    """Time that passes by being slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def answer(events: list[bytes], outcome: str = "accepted") -> httpx.Response:
    results = [{"index": index, "event_id": None, "outcome": outcome} for index in range(len(events))]
    counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "invalid": 0} | {outcome: len(events)}
    return httpx.Response(200, json={"results": results, **counts})


def send(api: Api, *events: bytes, time: Time | None = None, patience: float = 60) -> list[Verdict]:
    """What an import learns of these events from such an API."""
    time = time or Time()

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer key"
        return api(gzip.decompress(request.content).split(b"\n"))

    async def run() -> list[Verdict]:
        transport = httpx.MockTransport(handle)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            client = EventsClient(http, patience_seconds=patience, sleep=time.sleep, monotonic=time.monotonic)
            return await client.send("key", events)

    return asyncio.run(run())


def in_turn(*answers: httpx.Response | Exception) -> Api:
    """An API that gives these answers, and takes everything after them."""
    waiting: Iterator[httpx.Response | Exception] = iter(answers)

    def api(events: list[bytes]) -> httpx.Response:
        given = next(waiting, None)
        if isinstance(given, Exception):
            raise given
        return answer(events) if given is None else given

    return api


def test_outages_and_full_queues_are_waited_out() -> None:
    time = Time()
    api = in_turn(httpx.ConnectError("refused"), BUSY, httpx.ReadError("gone"), httpx.Response(500), BUSY)
    assert send(api, b"1", b"2", time=time) == [(LineOutcome.ACCEPTED, None)] * 2
    assert len(time.slept) == 5
    assert time.slept[1] == time.slept[4] == 7, "as long as the API asks for"


def test_long_silence_ends_it_with_a_remedy() -> None:
    api = in_turn(*[httpx.ConnectError("refused")] * 100)
    time = Time()
    with pytest.raises(StackError, match="60 seconds"):
        send(api, b"1", time=time)
    assert 60 < time.now < 90


def test_a_request_that_is_too_large_is_halved_down_to_the_event_that_is() -> None:
    def api(events: list[bytes]) -> httpx.Response:
        if b"large" in events:
            return httpx.Response(413, json={"code": "body_too_large", "message": "Too large."})
        return answer(events)

    taken, refused = (LineOutcome.ACCEPTED, None), (LineOutcome.INVALID, "Too large.")
    assert send(api, b"1", b"2", b"large", b"4", b"5") == [taken, taken, refused, taken, taken]


def test_each_event_gets_its_own_outcome_and_reason() -> None:
    results = [
        {"index": 0, "event_id": None, "outcome": "duplicate"},
        {"index": 1, "event_id": None, "outcome": "conflict", "reason": "is taken"},
        {"index": 2, "event_id": None, "outcome": "invalid", "reason": "event_type is missing"},
    ]
    counts = {"accepted": 0, "duplicate": 1, "conflict": 1, "invalid": 1}
    api = in_turn(httpx.Response(207, json={"results": results, **counts}))
    assert send(api, b"1", b"2", b"3") == [
        (LineOutcome.DUPLICATE, None),
        (LineOutcome.CONFLICT, "is taken"),
        (LineOutcome.INVALID, "event_type is missing"),
    ]


def test_a_suspended_tenant_is_refused_as_a_whole() -> None:
    api = in_turn(httpx.Response(403, json={"code": "tenant_suspended", "message": "Suspended."}))
    assert send(api, b"1", b"2") == [(LineOutcome.REFUSED, "Suspended.")] * 2


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(401, json={"code": "unauthorized", "message": "No."}), ApiKeyError),
        (httpx.Response(404), WorkbenchError),
        (answer([b"only one"]), WorkbenchError),
        (httpx.Response(200, text="<html>a proxy's page</html>"), WorkbenchError),
    ],
)
def test_an_answer_that_settles_nothing_ends_it(
    response: httpx.Response,
    error: type[WorkbenchError],
) -> None:
    with pytest.raises(error):
        send(in_turn(response), b"1", b"2")
