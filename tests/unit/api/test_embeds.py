"""The embeds API: who may ask, what a body may say, and every way to be refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from api.embeds_desk import OF_ONE_TENANT, EmbedsDesk
from api.embeds_openapi import EMBED_BODY, GUEST_BODY
from pipeline.core.errors import DatabaseUnavailable, EmbedsNotSetUp, NothingPublished, TenantError, WorkbenchError
from pipeline.core.metabase import MetabaseSettings
from tests.unit.api.brokers import StandIn
from tests.unit.api.conftest import Door
from tests.unit.api.keys import KEY, Keys, grant

pytestmark = pytest.mark.anyio

EMBEDS, GUEST, DASHBOARDS = "/v1/embeds", "/v1/embeds/guest", "/v1/dashboards"
BODIES: dict[str, Any] = {EMBEDS: {"dashboard": "usage"}, GUEST: {"entityType": "dashboard", "entityId": 3}}
NO_EMBEDS: list[Any] = [{}, [], "usage", None, {"dashboard": 3}, {"dashboard": ""}, {"dashboard": None}]
NO_GUESTS: list[Any] = [{}, [], {"entityType": "dashboard"}, {"entityId": 3}]


@pytest.fixture
def broker() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.free.set()


@asynccontextmanager
async def embedder(door: Door, keys: Keys, broker: StandIn, **metabase: Any) -> AsyncIterator[httpx.AsyncClient]:
    keys.grants[KEY] = grant(scopes=frozenset({"read"}))
    async with door(embeds=EmbedsDesk(broker, MetabaseSettings(**metabase))) as client:
        yield client


async def test_a_frame_gets_its_address_and_of_when_its_figures_are(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        answer = await client.post(EMBEDS, json={"dashboard": "usage"})
        dark = await client.post(EMBEDS, json={"dashboard": "usage", "theme": "dark"})
    assert answer.json() == {
        "dashboard": "usage",
        "token": "token-1",
        "url": "https://metabase.example.com/embed/dashboard/token-1#bordered=false&titled=true",
        "expires_at": "2026-03-04T06:00:00Z",
        "as_of": "2026-03-04T06:00:00Z",
        "held": False,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert dark.json()["url"].endswith("/token-2#bordered=false&titled=true&theme=night")


async def test_metabases_component_gets_what_it_waits_for(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        for entity_id in (3, "3"):
            body = {"entityType": "dashboard", "entityId": entity_id, "customContext": {"tenant": "globex"}, "new": 1}
            answer = await client.post(GUEST, json=body)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
            assert list(answer.json()) == ["jwt"]
    assert [(wish.tenant_id, wish.dashboard) for wish in broker.wishes] == [("acme", 3), ("acme", 3)]


async def test_what_may_be_embedded_is_listed(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        answer = await client.get(DASHBOARDS)
    assert answer.json() == {
        "instance_url": "https://metabase.example.com",
        "dashboards": [{"slug": "usage", "dashboard_id": 3, "title": "Usage"}],
    }


async def test_tenant_and_actor_come_from_the_key_and_from_nowhere_else(
    door: Door, keys: Keys, broker: StandIn
) -> None:
    async with embedder(door, keys, broker) as client:
        for body in ({"dashboard": "usage", "tenant": "globex"}, {"dashboard": "usage", "tenant_id": "globex"}):
            assert (await client.post(EMBEDS, json=body)).status_code == 400
        headers = {"X-Tenant": "globex", "X-Forwarded-User": "globex"}
        answer = await client.post(f"{EMBEDS}?tenant=globex", json={"dashboard": "usage"}, headers=headers)
        assert answer.status_code == 200
    assert [(wish.tenant_id, wish.actor) for wish in broker.wishes] == [("acme", "api key k")]


@pytest.mark.parametrize("path", [EMBEDS, GUEST, DASHBOARDS])
async def test_only_a_key_that_reads_opens_it(door: Door, keys: Keys, broker: StandIn, path: str) -> None:
    method = "GET" if path == DASHBOARDS else "POST"
    async with embedder(door, keys, broker) as client:
        keys.grants["ingests"] = grant(scopes=frozenset({"ingest"}))
        keys.grants["suspended"] = grant(scopes=frozenset({"read"}), suspended=True)
        for key, status in (("ingests", 403), ("suspended", 403), ("nobody's", 401), ("", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            answer = await client.request(method, path, json=BODIES.get(path), headers=headers)
            assert answer.status_code == status
    assert not broker.wishes


async def test_for_how_long_is_asked_within_bounds(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker, token_seconds=300) as client:
        seconds: Any
        for seconds in (10, 300, None):
            assert (await client.post(EMBEDS, json={"dashboard": "usage", "seconds": seconds})).status_code == 200
        for seconds in (301, 9, 0, -1, "60", 1.5, True, 2**70):
            answer = await client.post(EMBEDS, json={"dashboard": "usage", "seconds": seconds})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
            assert "10 to 300" in answer.json()["message"]
        await client.post(GUEST, json=BODIES[GUEST])
    assert [wish.seconds for wish in broker.wishes] == [10, 300, 300, 300]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((EMBEDS, body) for body in NO_EMBEDS),
        *((EMBEDS, {"dashboard": "usage", "theme": theme}) for theme in ("night", "x'onload=", None, 1)),
        (EMBEDS, {"dashboard": "x" * 64}),
        *((GUEST, body) for body in NO_GUESTS),
        *((GUEST, {"entityType": kind, "entityId": 3}) for kind in ("question", "card", "", None, 1)),
        *((GUEST, {"entityType": "dashboard", "entityId": found}) for found in (None, [3], {"id": 3}, 3.5, True)),
    ],
)
async def test_a_body_that_is_not_one_is_told_what_to_send(
    door: Door, keys: Keys, broker: StandIn, path: str, body: object
) -> None:
    async with embedder(door, keys, broker) as client:
        answer = await client.post(path, content=json.dumps(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["message"].startswith("Send ")
    assert not broker.wishes


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"dashboard": "\\ud800"}', b"[" * 10_000, b'{"a":NaN}'])
async def test_what_is_no_json_is_refused_and_not_repeated(
    door: Door, keys: Keys, broker: StandIn, body: bytes
) -> None:
    async with embedder(door, keys, broker) as client:
        for path in (EMBEDS, GUEST):
            answer = await client.post(path, content=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_bodies_are_small_and_plain_json(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        big = await client.post(EMBEDS, json={"dashboard": "usage", "theme": "l" * 20_000})
        form = await client.post(EMBEDS, content="dashboard=usage", headers={"Content-Type": "text/plain"})
        packed = await client.post(EMBEDS, content=b"", headers={"Content-Encoding": "gzip"})
    assert [answer.status_code for answer in (big, form, packed)] == [413, 415, 415]


async def test_a_dashboard_that_may_not_be_embedded_is_answered_with_those_that_may(
    door: Door, keys: Keys, broker: StandIn
) -> None:
    async with embedder(door, keys, broker) as client:
        slugs, ids = ("ledger", "3", "USAGE", "usage "), (4, "4", -3, "-3", "٣", "3.0", 2**80)
        answers = [await client.post(EMBEDS, json={"dashboard": slug}) for slug in slugs]
        answers += [await client.post(GUEST, json={"entityType": "dashboard", "entityId": each}) for each in ids]
    for answer in answers:
        assert answer.status_code == 404
        assert (answer.json()["code"], answer.json()["details"]) == ("unknown_dashboard", {"dashboards": ["usage"]})


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (TenantError("Tenant acme is suspended."), 403, "tenant_suspended"),
        (NothingPublished("Nothing of tenant acme is published yet.", remedy="Promote."), 409, "nothing_published"),
        (EmbedsNotSetUp(remedy="Run `workbench metabase apply`."), 503, "not_set_up"),
        (DatabaseUnavailable("PostgreSQL does not answer at 10.0.0.7."), 503, "unavailable"),
    ],
)
async def test_why_there_is_no_token_is_told(
    door: Door, keys: Keys, broker: StandIn, failure: WorkbenchError, status: int, code: str
) -> None:
    broker.failure = failure
    async with embedder(door, keys, broker) as client:
        for path, body in BODIES.items():
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert "10.0.0.7" not in answer.text
    assert ("metabase apply" in answer.text) == (code == "not_set_up")


async def test_a_tenant_gets_so_many_tokens_a_minute_and_others_theirs(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker, tokens_per_minute=3) as client:
        keys.grants["of_globex"] = grant(tenant_id="globex", scopes=frozenset({"read"}))
        paths = (EMBEDS, GUEST, EMBEDS, GUEST, EMBEDS)
        answers = [await client.post(path, json=BODIES[path]) for path in paths]
        other = await client.post(EMBEDS, json=BODIES[EMBEDS], headers={"Authorization": "Bearer of_globex"})
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json()["code"] == "too_many_tokens"
    assert "retry-after" in answers[3].headers
    assert other.status_code == 200
    assert len(broker.wishes) == 4


async def test_a_silent_database_holds_up_tokens_and_nothing_else(door: Door, keys: Keys, broker: StandIn) -> None:
    broker.free.clear()
    async with embedder(door, keys, broker) as client:
        asked = [asyncio.create_task(client.post(EMBEDS, json=BODIES[EMBEDS])) for _ in range(OF_ONE_TENANT + 3)]
        done, _ = await asyncio.wait(asked, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status_code for task in done} == {429}
        assert (await client.get("/healthz")).status_code == 200
        broker.free.set()
        answers = await asyncio.gather(*asked)
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    assert sum(answer.status_code == 200 for answer in answers) == OF_ONE_TENANT


async def test_the_document_tells_the_endpoints_and_its_examples_work(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        document = (await client.get("/openapi.json")).json()
        for path, body in ((EMBEDS, EMBED_BODY), (GUEST, GUEST_BODY)):
            operation = document["paths"][path]["post"]
            assert operation["requestBody"]["content"]["application/json"]["example"] == body
            answer = await client.post(path, json=body)
            assert answer.status_code == 200
            told = operation["responses"]["200"]["content"]["application/json"]["example"]
            assert answer.json().keys() == told.keys()
            named = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert set(document["components"]["schemas"][named]["properties"]) == set(told)
        listed = document["paths"][DASHBOARDS]["get"]["responses"]["200"]["content"]["application/json"]["example"]
        assert (await client.get(DASHBOARDS)).json().keys() == listed.keys()


async def test_requests_are_counted_by_path(door: Door, keys: Keys, broker: StandIn) -> None:
    async with embedder(door, keys, broker) as client:
        await client.post(EMBEDS, json=BODIES[EMBEDS])
        await client.post(GUEST, json=BODIES[GUEST])
        text = (await client.get("/metrics")).text
    for path in (EMBEDS, GUEST):
        assert f'workbench_http_requests_total{{route="{path}",status="200"}} 1.0' in text.splitlines()
