"""From a key to figures in a page: what a token says, what Metabase makes of it, and who is told of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import psycopg
import pytest

from pipeline.core.database import ServiceRole
from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.key_register import create_key
from pipeline.core.tenants import add_tenant, resume_tenant, suspend_tenant
from tests.fakes.metabase.embedding import unsign
from tests.integration.embeds.world import GUEST, World, claims, header
from tests.integration.isolation.conftest import MARKERS
from tests.integration.metabase.world import SECRET

KEPT = "select details::text from control.audit_log"


def test_a_token_says_what_metabase_verifies(shared: World) -> None:
    before = int(time.time())
    answer = shared.ask("acme", dashboard="usage", seconds=90).json()
    told = claims(answer["token"])
    assert header(answer["token"]) == {"alg": "HS256", "typ": "JWT"}
    assert told["resource"] == {"dashboard": shared.dashboard_id("Usage")}
    assert list(told["params"]) == ["tenant"]
    (tenant_token,) = told["params"]["tenant"]
    tenant, expires, _, _ = tenant_token.split("|")
    assert (tenant, int(expires)) == ("acme", told["exp"])
    assert (told["exp"] - told["iat"], before <= told["iat"] <= time.time() + 1) == (90, True)
    assert datetime.fromisoformat(answer["expires_at"]) == datetime.fromtimestamp(told["exp"], UTC)
    assert unsign(shared.metabase.store, answer["token"]) == told
    assert shared.metabase.store.setting("embedding-secret-key") == embedding_secret(SECRET, 1)
    assert answer["url"].startswith(f"{shared.metabase.url}/embed/dashboard/{answer['token']}#")


@pytest.mark.parametrize("tenant", ["acme", "globex"])
@pytest.mark.parametrize("dashboard", ["usage", "adoption", "retention"])
def test_every_card_of_every_embedded_dashboard_shows_the_tenants_own(
    shared: World, tenant: str, dashboard: str
) -> None:
    answers = shared.shown(shared.token(tenant, dashboard))
    assert [answer.get("why") for answer in answers] == [None] * len(answers)
    text = str(answers)
    assert all(marker not in text for other, marker in MARKERS.items() if other != tenant)
    if dashboard != "retention":
        assert MARKERS[tenant] in text


def test_metabases_component_gets_the_same_token(shared: World) -> None:
    number = shared.dashboard_id("Adoption")
    answer = shared.ask("globex", path=GUEST, entityType="dashboard", entityId=str(number))
    told = claims(answer.json()["jwt"])
    assert told["resource"] == {"dashboard": number}
    assert told["params"]["tenant"][0].startswith("globex|")
    assert MARKERS["globex"] in str(shared.shown(answer.json()["jwt"]))


def test_internal_dashboards_are_neither_listed_nor_given(shared: World) -> None:
    headers = {"Authorization": f"Bearer {shared.keys['acme']}"}
    listed = shared.api.get("/v1/dashboards", headers=headers).json()
    assert [each["slug"] for each in listed["dashboards"]] == ["adoption", "retention", "usage"]
    assert listed["instance_url"] == shared.metabase.url
    embedded = {each["dashboard_id"] for each in listed["dashboards"]}
    internal = shared.metabase.store.dashboards.keys() - embedded
    assert len(internal) == 3
    for number in (*internal, 0, -1, max(shared.metabase.store.dashboards) + 1):
        answer = shared.ask("acme", path=GUEST, entityType="dashboard", entityId=number)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dashboard")
    for slug in ("tenants", "quality", "ledger"):
        answer = shared.ask("acme", dashboard=slug)
        assert (answer.status_code, answer.json()["details"]) == (
            404,
            {"dashboards": ["adoption", "retention", "usage"]},
        )


def test_every_token_is_in_the_audit_log_and_no_refusal_is(shared: World) -> None:
    before = len(shared.audited())
    token = shared.token("acme", "adoption")
    shared.ask("globex", path=GUEST, entityType="dashboard", entityId=shared.dashboard_id("Usage"))
    shared.ask("acme", dashboard="ledger")
    (first, second) = shared.audited()[before:]
    key_id = shared.keys["acme"].split("_")[2]
    assert first[:2] == (f"api key {key_id}", "acme")
    told = claims(token)
    assert first[2] == {
        "dashboard": "adoption",
        "dashboard_id": told["resource"]["dashboard"],
        "expires_at": datetime.fromtimestamp(told["exp"], UTC).isoformat(),
        "signing_key": told["params"]["tenant"][0].split("|")[2],
    }
    assert (second[1], second[2]["dashboard"]) == ("globex", "usage")
    with shared.database.connect_admin() as connection:
        kept = "".join(row[0] for row in connection.execute(KEPT))
    assert token not in kept
    assert told["params"]["tenant"][0].rpartition("|")[2] not in kept


def test_without_an_audit_row_there_is_no_token(shared: World) -> None:
    before = shared.audited()
    with shared.altered(
        "alter table control.audit_log add constraint nothing check (action <> 'embed_token') not valid",
        undo="alter table control.audit_log drop constraint nothing",
    ):
        answer = shared.ask("acme")
    assert answer.status_code == 500
    assert answer.json().keys() == {"code", "message"}
    assert shared.audited() == before


def test_a_suspended_tenant_gets_none_and_those_that_it_has_open_nothing(shared: World) -> None:
    token = shared.token("acme")
    assert MARKERS["acme"] in str(shared.shown(token))
    suspend_tenant(shared.database, "acme")
    try:
        answer = shared.ask("acme")
        assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
        assert {card["status"] for card in shared.shown(token)} == {"failed"}
    finally:
        resume_tenant(shared.database, "acme")
    assert MARKERS["acme"] in str(shared.shown(token))


def test_a_tenant_of_which_nothing_is_published_is_told_so(shared: World) -> None:
    add_tenant(shared.database, "initech")
    add_tenant(shared.database, "hooli")
    with shared.database.connect(ServiceRole.PUBLISHER) as connection:
        connection.execute(
            "insert into control.promotion_progress (tenant_id, promoted_xid, models_fingerprint, held_since) "
            "values ('hooli', '0', '', now())"
        )
    for tenant, reason in (("initech", "is published yet"), ("hooli", "held back by the checks")):
        headers = {"Authorization": f"Bearer {create_key(shared.database, tenant, scopes=['read'])}"}
        answer = shared.api.post("/v1/embeds", json={"dashboard": "usage"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing_published")
        assert reason in answer.json()["message"]
        assert tenant not in {row[1] for row in shared.audited()}


def test_before_metabase_is_set_up_the_way_to_do_it_is_told(shared: World) -> None:
    with shared.altered(
        "create table public.kept as select * from control.metabase_state; delete from control.metabase_state",
        undo="insert into control.metabase_state select * from public.kept; drop table public.kept",
    ):
        answer = shared.ask("acme")
        listed = shared.api.get("/v1/dashboards", headers={"Authorization": f"Bearer {shared.keys['acme']}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_set_up")
    assert "workbench metabase apply" in answer.json()["message"]
    assert (listed.status_code, listed.json()["code"]) == (503, "not_set_up")


def test_without_a_key_that_signs_there_is_no_token(shared: World) -> None:
    with shared.altered(
        "update control.signing_keys set retired_at = '2026-01-01' where retired_at is null",
        undo="update control.signing_keys set retired_at = null where retired_at = '2026-01-01'",
    ):
        answer = shared.ask("acme")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_set_up")
    assert "embeds rotate" in answer.json()["message"]


def test_a_dashboard_that_is_taken_off_the_list_gets_no_token_from_then_on(shared: World) -> None:
    shared.token("acme", "usage")
    with shared.altered(
        "update control.dashboards set embedded = false where slug = 'usage'",
        undo="update control.dashboards set embedded = true where slug = 'usage'",
    ):
        assert shared.ask("acme", dashboard="usage").status_code == 404
        assert shared.ask("acme", dashboard="adoption").status_code == 200


def test_the_api_may_read_the_list_and_write_nothing_of_it(shared: World) -> None:
    with shared.database.connect(ServiceRole.API, autocommit=True) as connection:
        connection.execute("select * from control.dashboards, control.metabase_state")
        for statement in (
            "insert into control.dashboards (slug, dashboard_id, title, spec_hash) values ('x', 1, 'x', 'x')",
            "update control.dashboards set embedded = true",
            "update control.metabase_state set secret_generation = 9",
            "select * from control.signing_keys",
            "select * from control.audit_log",
            "delete from control.audit_log",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
