"""The attack matrix: what a viewer, another tenant's viewer, or a thief of one secret can make of a token.

Each attack is made on Metabase's own endpoints with the cards that are shipped, which run on the real database. What
Metabase would let through, the database refuses; both walls are tried.
"""

from __future__ import annotations

import base64
import json
import string
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.metabase.embedding import unsign
from tests.fakes.metabase.store import Refused
from tests.integration.embeds.world import DAYS, GUEST, World, claims, forged
from tests.integration.isolation.conftest import MARKERS

Claims = dict[str, Any]
Attack = Callable[[Claims, Claims], str]
"""Makes a token out of the claims of one's own, and of what is known of the other tenant."""


def tenant(value: object) -> Claims:
    return {"params": {"tenant": value}}


def altered_tenant(own: Claims, name: str) -> str:
    """One's own tenant token in another's name."""
    return "|".join([name, *own["params"]["tenant"][0].split("|")[1:]])


def prolonged(own: Claims) -> str:
    """One's own tenant token with a later end."""
    name, _, key, signature = own["params"]["tenant"][0].split("|")
    return "|".join([name, str(int(time.time()) + 3_000), key, signature])


METABASE_REFUSES: Mapping[str, Attack] = {
    "signed with another secret": lambda own, _: forged(own, secret="0" * 64),
    "signed with the bytes that the secret spells": lambda own, _: forged(own, secret="".join(map(chr, range(32)))),
    "alg none": lambda own, _: forged(own, algorithm="none"),
    "alg none, with a signature": lambda own, _: forged(own, alg="none"),
    "no alg": lambda own, _: forged(own, alg=None),
    "another algorithm's name": lambda own, _: forged(own, alg="RS256"),
    "no params": lambda own, _: forged({k: v for k, v in own.items() if k != "params"}),
    "no tenant": lambda own, _: forged(own | {"params": {}}),
    "an empty tenant": lambda own, _: forged(own | tenant("")),
    "a blank tenant": lambda own, _: forged(own | tenant("  ")),
    "null": lambda own, _: forged(own | tenant(None)),
    "expired": lambda own, _: forged(own | {"exp": int(time.time()) - 61}),
    "a dashboard that is not published": lambda own, other: forged(
        own | {"resource": {"dashboard": other["internal"]}}
    ),
    "a dashboard that is not there": lambda own, _: forged(own | {"resource": {"dashboard": 4_711}}),
    "a parameter that is not there": lambda own, _: forged(own | {"params": own["params"] | {"tenant_id": ["globex"]}}),
}
DATABASE_REFUSES: Mapping[str, Attack] = {
    "no filter": lambda own, _: forged(own | tenant([])),
    "an empty text in a list": lambda own, _: forged(own | tenant([""])),
    "the name of the other tenant": lambda own, _: forged(own | tenant(["globex"])),
    "the other tenant in one's own token": lambda own, _: forged(own | tenant([altered_tenant(own, "globex")])),
    "one's own token and the other's name": lambda own, _: forged(own | tenant([*own["params"]["tenant"], "globex"])),
    "a wildcard": lambda own, _: forged(own | tenant(["%"])),
    "SQL": lambda own, _: forged(own | tenant(["' or true --"])),
    "one's own token, prolonged": lambda own, _: forged(own | tenant([prolonged(own)])),
    "an expired tenant token in a fresh JWT": lambda own, other: forged(own | tenant([other["expired"]])),
    "expired for less than Metabase's minute of grace": lambda own, other: forged(
        own | tenant([other["expired"]]) | {"exp": int(time.time()) - 30}
    ),
    "a tenant token of a key that is not known": lambda own, other: forged(own | tenant([other["unknown key"]])),
    "a tenant token signed with the embedding secret": lambda own, other: forged(own | tenant([other["guessed"]])),
}


ALPHABET = string.ascii_letters + string.digits + "-_."


@pytest.fixture(scope="module")
def known(shared: World) -> Claims:
    """What an attacker may have come to know."""
    sign = shared.embedding.sign
    body = f"globex|{int(time.time()) + 600}|k1"
    return {
        "internal": shared.dashboard_id("All tenants"),
        "expired": sign("acme", expires_in=-1),
        "unknown key": sign("globex", key_id="zz"),
        "guessed": f"{body}|{forged({}).rpartition('.')[2]}",
    }


@pytest.fixture(scope="module")
def token(shared: World) -> str:
    """A token of acme's."""
    return shared.token("acme")


def test_the_tools_of_the_attacks_make_tokens_that_work(shared: World) -> None:
    """Without this the matrix would pass for any token."""
    assert_own(shared, forged(claims(shared.token("acme"))))
    assert_own(shared, forged(claims(shared.token("acme")) | tenant([shared.embedding.sign("acme")])))


@pytest.mark.parametrize("attack", METABASE_REFUSES)
def test_metabase_refuses_a_token_that_is(shared: World, known: Claims, attack: str) -> None:
    token = METABASE_REFUSES[attack](claims(shared.token("acme")), known)
    for dashcard, card in cards_of(shared, "Usage"):
        answer = shared.card(token, dashcard, card)
        assert answer.status_code in (400, 404), attack
        assert_silent(answer)


@pytest.mark.parametrize("attack", DATABASE_REFUSES)
def test_the_database_refuses_what_one_who_has_the_embedding_secret_makes_of_it(
    shared: World, known: Claims, attack: str
) -> None:
    token = DATABASE_REFUSES[attack](claims(shared.token("acme")), known)
    for dashcard, card in cards_of(shared, "Usage"):
        answer = shared.card(token, dashcard, card)
        assert answer.is_success is False or answer.json()["status"] == "failed", attack
        assert_silent(answer)


def test_a_signature_does_not_hold_for_anything_else(shared: World) -> None:
    mine, theirs = shared.token("acme").split("."), shared.token("globex").split(".")
    own = claims(".".join(mine))
    longer = base64.urlsafe_b64encode(json.dumps(own | {"exp": own["exp"] + 1}).encode()).decode().rstrip("=")
    for token in (
        [mine[0], theirs[1], mine[2]],
        [mine[0], mine[1], theirs[2]],
        [mine[0], longer, mine[2]],
        [mine[0], mine[1], ""],
        [mine[0], mine[1], mine[2][:-2]],
        mine[:2],
    ):
        answer = shared.browser.get(f"/api/embed/dashboard/{'.'.join(token)}")
        assert answer.status_code in (400, 404)


def test_a_viewer_cannot_set_what_is_locked(shared: World) -> None:
    token = shared.token("acme")
    for dashcard, card in cards_of(shared, "Usage"):
        answer = shared.card(token, dashcard, card, given=DAYS | {"tenant": "globex"})
        assert answer.status_code == 400
        assert "You can only specify a value for tenant in the JWT." in answer.text


def test_a_token_opens_no_card_of_another_dashboard(shared: World) -> None:
    token = shared.token("acme", "usage")
    for title in ("Adoption", "Retention", "All tenants", "Quality", "Loss ledger"):
        for dashcard, card in cards_of(shared, title):
            answer = shared.card(token, dashcard, card)
            assert answer.status_code == 404
            assert_silent(answer)


def test_one_tenants_key_never_gets_a_token_of_another(shared: World) -> None:
    number = shared.dashboard_id("Usage")
    for body in (
        {"entityType": "dashboard", "entityId": number, "tenant": "globex"},
        {"entityType": "dashboard", "entityId": number, "customContext": {"tenant": "globex", "tenant_id": "globex"}},
        {"entityType": "dashboard", "entityId": number, "params": {"tenant": ["globex"]}},
    ):
        told = claims(shared.ask("acme", path=GUEST, **body).json()["jwt"])
        assert told["params"]["tenant"][0].startswith("acme|")
        assert list(told["params"]) == ["tenant"]


def assert_own(world: World, token: str) -> None:
    assert MARKERS["acme"] in str(world.shown(token))


def cards_of(world: World, title: str) -> list[tuple[int, int]]:
    """All cards of a dashboard: known to an attacker, since they are the same for all tenants."""
    dashboard = world.metabase.store.dashboards[world.dashboard_id(title)]
    return [(each["id"], each["card_id"]) for each in dashboard["dashcards"] if each.get("card_id")]


def assert_silent(answer: httpx.Response) -> None:
    """An answer that has no figure and no name of anybody. (`why` is the fake's own, for tests.)"""
    document = answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text
    if isinstance(document, dict):
        document.pop("why", None)
        assert not document.get("data", {}).get("rows")
    assert all(marker not in str(document) for marker in (*MARKERS.values(), "globex"))


@given(data=st.data())
def test_whatever_is_changed_in_a_token_it_says_the_same_or_is_refused(
    shared: World, token: str, data: st.DataObject
) -> None:
    """(The last character of base64 has bits that stand for nothing.)"""
    changed = list(token)
    for place in data.draw(st.sets(st.integers(0, len(token) - 1), min_size=1, max_size=3)):
        changed[place] = data.draw(st.sampled_from(ALPHABET))
    with suppress(Refused):
        assert unsign(shared.metabase.store, "".join(changed)) == claims(token)


def test_tokens_that_are_made_at_the_same_time_are_each_of_their_own_key(shared: World) -> None:
    before = len(shared.audited())
    tenants = ["acme", "globex"] * 50
    with ThreadPoolExecutor(8) as browsers:
        tokens = list(browsers.map(shared.token, tenants))
    named = [claims(token)["params"]["tenant"][0].split("|")[0] for token in tokens]
    assert named == tenants
    assert Counter(row[1] for row in shared.audited()[before:]) == Counter(tenants)
