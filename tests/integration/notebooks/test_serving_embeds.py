"""Embed tokens for people who are signed in to the notebook server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.embeds_desk import EmbedsDesk
from pipeline.core.errors import NothingPublished
from pipeline.core.metabase import MetabaseSettings
from tests.integration.notebooks import attacks
from tests.integration.notebooks.served import Target, ours
from tests.unit.api.brokers import StandIn

EMBEDS, GUEST = "/embeds", "/embeds/guest"
BODIES: dict[str, dict[str, Any]] = {EMBEDS: {"dashboard": "usage"}, GUEST: {"entityType": "dashboard", "entityId": 3}}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, StandIn]]:
    broker = StandIn()
    folder = attacks.write_notebooks(tmp_path_factory.mktemp("notebooks"), rows=attacks.ROWS)
    with ours(folder, embeds=EmbedsDesk(broker, MetabaseSettings())) as target:
        yield target, broker


@pytest.fixture
def target(serving: tuple[Target, StandIn]) -> Target:
    return serving[0]


@pytest.fixture
def broker(serving: tuple[Target, StandIn]) -> StandIn:
    serving[1].wishes.clear()
    serving[1].failure = None
    return serving[1]


def test_a_person_gets_tokens_of_their_own_tenant(target: Target, broker: StandIn) -> None:
    with target.client("acme") as client:
        framed = client.post(EMBEDS, json=BODIES[EMBEDS])
        component = client.post(GUEST, json=BODIES[GUEST])
        named = client.post(f"{EMBEDS}?tenant=acme", json=BODIES[EMBEDS])
    assert framed.json()["url"].startswith("https://metabase.example.com/embed/dashboard/token-1#")
    assert component.json() == {"jwt": "token-2"}
    assert framed.headers["cache-control"] == "no-store"
    assert named.status_code == 200
    assert {(wish.tenant_id, wish.actor) for wish in broker.wishes} == {("acme", "acme@example.com")}


def test_nobody_gets_a_token_of_a_tenant_that_is_not_theirs(target: Target, broker: StandIn) -> None:
    for who, query, status in (
        ("acme", "?tenant=globex", 403),
        ("acme", "?tenant=acme&tenant=globex", 403),
        ("acme", "?tenant=", 403),
        ("steward", "", 403),
        ("steward", "?tenant=acme", 403),
        ("admin", "", 404),
        ("admin", "?tenant=initech", 404),
        ("admin", "?tenant=acme&tenant=globex", 404),
    ):
        with target.client(who) as client:
            for path, body in BODIES.items():
                assert client.post(path + query, json=body).status_code == status, (who, query)
                smuggled = client.post(path + query, json=body | {"customContext": {"tenant": "globex"}})
                assert smuggled.status_code == status
    assert not broker.wishes


def test_an_admin_names_the_tenant(target: Target, broker: StandIn) -> None:
    with target.client("admin") as client:
        assert client.post(f"{GUEST}?tenant=globex", json=BODIES[GUEST]).status_code == 200
    assert [(wish.tenant_id, wish.actor) for wish in broker.wishes] == [("globex", "admin@example.com")]


def test_neither_strangers_nor_foreign_pages_get_one(target: Target, broker: StandIn) -> None:
    with httpx.Client(base_url=target.url, headers={"origin": target.origin}) as stranger:
        assert stranger.post(EMBEDS, json=BODIES[EMBEDS]).status_code == 401
    for origin in ("https://evil.example", "null"):
        with target.client("acme") as client:
            answer = client.post(GUEST, json=BODIES[GUEST], headers={"origin": origin})
            assert answer.status_code == 403
    with target.client("acme") as client:
        assert client.get(EMBEDS).status_code == 405
        assert client.post(EMBEDS, content="dashboard=usage").status_code == 415
    assert not broker.wishes


def test_why_there_is_no_token_is_told_in_json(target: Target, broker: StandIn) -> None:
    with target.client("acme") as client:
        assert client.post(EMBEDS, json={"dashboard": "ledger"}).json()["details"] == {"dashboards": ["usage"]}
        broker.failure = NothingPublished("Nothing of tenant acme is published yet.")
        answer = client.post(EMBEDS, json=BODIES[EMBEDS])
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_published")
