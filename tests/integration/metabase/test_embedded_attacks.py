"""Attacks of somebody who has a browser, and of somebody who has Metabase's secret as well.

Whoever comes without a valid tenant token gets an error, from Metabase or from the database.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipeline.core.embedding_secret import embedding_secret
from tests.fakes.metabase.embedding import FAILED
from tests.integration.metabase.viewer import Viewer, claims, signed
from tests.integration.metabase.world import SECRET, Provisioned
from tests.integration.metrics.tokens import issued
from tests.showcase import Showcase


def attempts(showcase: Showcase, viewer: Viewer) -> Iterator[tuple[str, str, str]]:
    """A name, the token, and what Metabase says to it."""
    usage, token = viewer.number("Usage"), issued(showcase.database, showcase.tenants[0])
    good = claims(usage, [token])
    corrupt = "Message seems corrupt or manipulated"
    yield "another secret", signed(good, key=b"0" * 64), corrupt
    yield "the bytes of the secret", signed(good, key=bytes.fromhex(embedding_secret(SECRET, 1))), corrupt
    yield "a secret that is not in use yet", signed(good, key=embedding_secret(SECRET, 2).encode()), corrupt
    yield "no signature", signed(good).rpartition(".")[0] + ".", corrupt
    yield "no token at all", "abc", corrupt
    yield "alg none", signed(good, algorithm="none"), "JWT `alg` cannot be `none`."
    yield "no alg", signed(good, algorithm=None), "JWT is missing `alg`."
    yield "another alg", signed(good, algorithm="HS384"), corrupt
    yield "expired", signed(good | {"exp": time.time() - 61}), "Token is expired"
    yield "no tenant", signed(good | {"params": {}}), "You must specify a value for :tenant in the JWT."
    yield "a null tenant", signed(claims(usage, None)), "You must specify a value for :tenant in the JWT."
    yield "a blank tenant", signed(claims(usage, " ")), "You must specify a value for :tenant in the JWT."
    yield "no params", signed({"resource": {"dashboard": usage}}), "Token is missing value for keypath [:params]"
    yield "a parameter too many", signed(good | {"params": {"tenant": [token], "x": 1}}), "Unknown parameter :x."
    staff = viewer.number("All tenants")
    yield "a dashboard of the staff", signed(claims(staff, [token])), "Embedding is not enabled for this object."


def test_a_token_that_is_not_right_opens_nothing(showcase: Showcase, viewer: Viewer) -> None:
    for name, token, told in attempts(showcase, viewer):
        opened = viewer.open(token)
        assert (opened.status_code, opened.text[: len(told)]) == (400, told), name
        assert viewer.card(token, "Usage", "Active users").status_code == 400, name


def test_a_tenant_that_is_not_signed_for_gets_an_error_from_the_database(showcase: Showcase, viewer: Viewer) -> None:
    usage, token = viewer.number("Usage"), issued(showcase.database, showcase.tenants[0])
    forged = token.replace(showcase.tenants[0], showcase.tenants[1], 1)
    for tenant in ([], [showcase.tenants[1]], [forged], [""], [token, token], token[:-1], "%", ["' or true --"]):
        told = viewer.card(signed(claims(usage, tenant)), "Usage", "Active users").json()
        assert (told["status"], told["error"], told["data"]["rows"]) == ("failed", FAILED, []), tenant


def test_a_token_does_not_outlive_the_secret_that_it_was_signed_with(
    showcase: Showcase, viewer: Viewer, world: Provisioned
) -> None:
    jwt = signed(claims(viewer.number("Usage"), [issued(showcase.database, showcase.tenants[0])]))
    kept = world.metabase.store.settings
    assert viewer.open(jwt).status_code == 200
    world.metabase.store.settings = kept | {"embedding-secret-key": embedding_secret(SECRET, 2)}
    refused = viewer.open(jwt)
    world.metabase.store.settings = kept
    assert (refused.status_code, refused.text) == (400, "Message seems corrupt or manipulated")


def test_the_viewer_cannot_name_a_tenant(showcase: Showcase, viewer: Viewer) -> None:
    token = issued(showcase.database, showcase.tenants[0])
    jwt = signed(claims(viewer.number("Usage"), [token]))
    other = issued(showcase.database, showcase.tenants[1])
    refused = viewer.card(jwt, "Usage", "Active users", tenant=[other])
    assert (refused.status_code, refused.text) == (400, "You can only specify a value for tenant in the JWT.")


def test_a_card_that_somebody_unwired_shows_nothing(showcase: Showcase, world: Provisioned) -> None:
    viewer = Viewer(world.metabase)
    dashboard = world.metabase.store.dashboards[viewer.number("Usage")]
    kept = dashboard["dashcards"][1]["parameter_mappings"]
    dashboard["dashcards"][1]["parameter_mappings"] = []
    name = world.metabase.store.cards[dashboard["dashcards"][1]["card_id"]]["name"]
    jwt = signed(claims(viewer.number("Usage"), [issued(showcase.database, showcase.tenants[0])]))
    told = viewer.card(jwt, "Usage", name).json()
    dashboard["dashcards"][1]["parameter_mappings"] = kept
    viewer.close()
    assert (told["status"], told["data"]["rows"]) == ("failed", [])
