"""How the client takes what Metabase answers: what passes is waited for, what does not is told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipeline.core.errors import MetabaseError, MetabaseUnavailable
from workbench.metabase.client import TRIES, Metabase
from workbench.metabase.opening import Administrator

SECRET = "the password of somebody"


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now += seconds


def metabase(*given: httpx.Response | Exception, asked: list[str] | None = None) -> tuple[Metabase, Clock]:
    """A client whose Metabase gives these answers, the last of them for ever."""
    answers, clock = list(given), Clock()

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(f"{request.method} {request.url.path}")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, content=found.content, headers=found.headers)

    http = httpx.Client(base_url="http://metabase.test", transport=httpx.MockTransport(answer))
    return Metabase(http, sleep=clock.sleep, monotonic=lambda: clock.now), clock


def test_it_waits_until_metabase_has_started() -> None:
    starting = httpx.Response(503, json={"status": "initializing", "progress": 0.1})
    found, clock = metabase(httpx.ConnectError("refused"), starting, starting, httpx.Response(200, json={}))
    found.wait_until_ready(60)
    assert 0 < clock.now < 60


def test_it_gives_up_on_one_that_does_not_start() -> None:
    found, clock = metabase(httpx.Response(503, json={"status": "initializing"}))
    with pytest.raises(MetabaseUnavailable, match="initializing") as refused:
        found.wait_until_ready(60)
    assert refused.value.retryable
    assert 60 < clock.now < 90


@pytest.mark.parametrize("status", [429, 502, 503])
def test_what_passes_is_tried_again_writes_included(status: int) -> None:
    found, _ = metabase(httpx.Response(status), httpx.Response(200, json={"id": 1}))
    assert found.post("/api/card", {}) == {"id": 1}


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    told = {"errors": {"username": "Too many attempts! You must wait 14 seconds before trying again."}}
    found, clock = metabase(httpx.Response(400, json=told), httpx.Response(200, json={"id": "session"}))
    found.sign_in(email="a@b", password=SECRET)
    assert clock.now == 14


def test_a_broken_connection_is_tried_again_for_what_only_reads() -> None:
    asked: list[str] = []
    found, _ = metabase(httpx.ReadError("gone"), httpx.Response(200, json=[1]), asked=asked)
    assert found.get("/api/setting") == [1]
    broken, _ = metabase(httpx.ReadError("gone"), asked=asked)
    with pytest.raises(MetabaseUnavailable):
        broken.post("/api/card", {})
    assert asked == ["GET /api/setting", "GET /api/setting", "POST /api/card"]


def test_it_ends_at_some_time() -> None:
    asked: list[str] = []
    found, _ = metabase(httpx.Response(429), asked=asked)
    with pytest.raises(MetabaseUnavailable):
        found.get("/api/setting")
    assert len(asked) == TRIES


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401, json={"errors": {"password": "did not match stored password"}}), "does not let us in"),
        (httpx.Response(403, text="You don't have permissions to do that."), "forbids GET /x: You don't have"),
        (httpx.Response(402, text="The cache TTL is paid"), "not part of Metabase's free edition: The cache TTL"),
        (httpx.Response(400, json={"errors": {"name": "must be given."}}), r"refuses GET /x \(400\): name: must be"),
        (httpx.Response(400, json={"message": "No.", "errors": {"a": "b"}}), r"\(400\): No\.; a: b"),
        (httpx.Response(404, text="Not found."), r"refuses GET /x \(404\): Not found"),
        (httpx.Response(500, text=""), r"refuses GET /x \(500\): Internal Server Error"),
    ],
)
def test_a_refusal_is_told_in_metabases_words(answer: httpx.Response, told: str) -> None:
    found, _ = metabase(answer)
    with pytest.raises(MetabaseError, match=told):
        found.get("/x")


LISTED: dict[str, Any] = {
    "key": "site-name",
    "is_env_setting": False,
    "env_name": "MB_SITE_NAME",
    "default": "Metabase",
}


@pytest.mark.parametrize(
    ("entry", "value", "variable"),
    [
        (LISTED | {"value": "Ours"}, "Ours", None),
        (LISTED | {"value": None}, "Metabase", None),
        (LISTED | {"value": None, "is_env_setting": True, "default": "Using value of env var"}, None, "MB_SITE_NAME"),
    ],
)
def test_a_setting_that_is_null_is_as_it_comes_or_from_the_environment(
    entry: dict[str, Any], value: object, variable: str | None
) -> None:
    found, _ = metabase(httpx.Response(200, json=[entry]))
    listed = found.settings()["site-name"]
    assert (listed.value, listed.variable) == (value, variable)


def test_a_setting_that_does_not_stay_is_told_without_its_value() -> None:
    kept = httpx.Response(200, json=[LISTED | {"value": "another"}])
    found, _ = metabase(httpx.Response(204), kept)
    with pytest.raises(MetabaseError, match="did not keep it") as refused:
        found.write_setting("site-name", SECRET)
    assert SECRET not in str(refused.value)


def test_nothing_shows_the_password() -> None:
    assert SECRET not in repr(Administrator(url="http://x", email="a@b", password=SECRET))
