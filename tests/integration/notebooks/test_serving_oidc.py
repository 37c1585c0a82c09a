"""Signing in with an OpenID Connect provider that enforces the contract, and with one that lies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey

from pipeline.core.notebooks import NotebookSettings
from tests.integration.notebooks import attacks, provider
from tests.integration.notebooks.provider import CLIENT_ID, CLIENT_SECRET, Provider, provided
from tests.integration.notebooks.served import Target, ours

VERIFIED = {"email": "acme@example.com", "email_verified": True}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Provider]]:
    """Our server, and the provider that it sends people to."""
    folder = attacks.write_notebooks(tmp_path_factory.mktemp("notebooks"), rows=attacks.ROWS)
    with provided() as made:
        settings = NotebookSettings(
            port=0,
            oidc_issuer=made.issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            oidc_name="Example & Co.",
        )
        settings.require_whole()
        with ours(folder, settings=settings) as target:
            made.redirect_uri = f"{target.url}/oidc/callback"
            yield target, made


@pytest.fixture
def target(both: tuple[Target, Provider]) -> Target:
    return both[0]


@pytest.fixture
def made(both: tuple[Target, Provider]) -> Provider:
    """The provider, as honest as it began."""
    made = both[1]
    made.claims, made.answer, made.signing, made.auth_methods = dict(VERIFIED), {}, None, None
    made.refused.clear()
    return made


@pytest.fixture
def browser(target: Target) -> Iterator[httpx.Client]:
    """A browser of nobody."""
    with httpx.Client(base_url=target.url, headers={"accept": "text/html"}) as client:
        yield client


def go(browser: httpx.Client, start: str = "/oidc/start") -> httpx.Response:
    """To the provider and back: the callback's answer."""
    away = browser.get(start)
    assert away.status_code == 303, away.text
    back = httpx.get(away.headers["location"])
    assert back.status_code == 302, back.text
    return browser.get(back.headers["location"])


def test_a_person_signs_in_with_the_provider(browser: httpx.Client, made: Provider) -> None:
    door = browser.get("/sign-in?next=/notebooks/rows/").text
    assert "Continue with Example &amp; Co." in door
    assert 'href="/oidc/start?next=%2Fnotebooks%2Frows%2F"' in door
    entered = go(browser, "/oidc/start?next=/notebooks/rows/")
    assert (entered.status_code, entered.headers["location"]) == (303, "/notebooks/rows/")
    assert "Acme Inc." in browser.get("/").text
    assert made.refused == []


def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(made: Provider, tmp_path: Path) -> None:
    made.auth_methods = ["client_secret_post"]
    settings = NotebookSettings(
        port=0, oidc_issuer=made.issuer, oidc_client_id=CLIENT_ID, oidc_client_secret=CLIENT_SECRET
    )
    before = made.redirect_uri
    with (
        ours(attacks.write_notebooks(tmp_path, rows=attacks.ROWS), settings=settings) as another,
        httpx.Client(base_url=another.url) as browser,
    ):
        made.redirect_uri = f"{another.url}/oidc/callback"
        assert go(browser).status_code == 303
    made.redirect_uri = before
    assert made.refused == []


def test_a_provider_may_change_its_keys(browser: httpx.Client, made: Provider) -> None:
    assert go(browser).status_code == 303
    made.key = RSAKey.generate_key(2048, {"kid": "two"})
    assert go(browser).status_code == 303


def test_a_foreign_place_to_go_to_is_not_gone_to(browser: httpx.Client, made: Provider) -> None:
    assert go(browser, "/oidc/start?next=https://evil.example/").headers["location"] == "/"
    assert made.refused == []


LIES: dict[str, dict[str, Any]] = {
    "for another client": {"aud": "another"},
    "for several, of whom none is said to have asked": {"aud": [CLIENT_ID, "another"]},
    "for another that asked": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "by another issuer": {"iss": "https://evil.example"},
    "of another sign-in": {"nonce": "another"},
    "that has expired": {"exp": int(time.time()) - 3600},
    "of the future": {"nbf": int(time.time()) + 3600},
    "about another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("claims", LIES.values(), ids=list(LIES))
def test_an_id_token_that_is_not_for_this_sign_in_is_not_believed(
    browser: httpx.Client, made: Provider, claims: dict[str, Any]
) -> None:
    made.claims |= claims
    refused = go(browser)
    assert refused.status_code == 400
    assert "not meant for this sign-in" in refused.text
    assert "workbench_sign_in" not in browser.cookies


@pytest.mark.parametrize(
    "signing",
    [
        provider.signed_by_somebody_else,
        provider.signed_with_the_secret,
        provider.signed_with_the_public_key,
        provider.not_signed,
        lambda *_: "no token",
        lambda *_: "",
    ],
)
def test_an_id_token_that_the_provider_did_not_sign_is_not_believed(
    browser: httpx.Client, made: Provider, signing: Any
) -> None:
    made.signing = signing
    refused = go(browser)
    assert refused.status_code == 400
    assert "not signed by it" in refused.text
    assert "workbench_sign_in" not in browser.cookies


@pytest.mark.parametrize(
    "claims",
    [{"email": "nobody@example.com"}, {"email_verified": False}, {"email_verified": "true"}, {"email": None}],
)
def test_who_is_vouched_for_but_unknown_or_unverified_is_refused(
    browser: httpx.Client, made: Provider, claims: dict[str, Any]
) -> None:
    made.claims |= claims
    assert go(browser).status_code == 403
    assert "workbench_sign_in" not in browser.cookies


@pytest.mark.parametrize(
    "answer", [{"state": "forged"}, {"code": "forged"}, {"iss": "https://evil.example"}, {"error": "access_denied"}]
)
def test_an_answer_that_was_tampered_with_is_refused(
    browser: httpx.Client, made: Provider, answer: dict[str, str]
) -> None:
    made.answer = answer
    assert go(browser).status_code == 400
    assert "workbench_sign_in" not in browser.cookies


def test_an_answer_is_good_once_and_in_the_browser_that_asked(
    browser: httpx.Client, target: Target, made: Provider
) -> None:
    away = browser.get("/oidc/start")
    address = httpx.get(away.headers["location"]).headers["location"]
    with httpx.Client(base_url=target.url) as victim:
        # Signing somebody in as oneself, to read what they do then.
        assert victim.get(address).status_code == 400
        victim.get("/oidc/start")
        assert victim.get(address).status_code == 400
    assert browser.get(address).status_code == 303
    assert browser.get(address).status_code == 400
    assert made.refused == []


def test_a_provider_that_is_away_or_is_another_is_told(tmp_path: Path, made: Provider) -> None:
    folder = attacks.write_notebooks(tmp_path, rows=attacks.ROWS)
    for issuer in ("http://127.0.0.1:9", f"{made.issuer}/"):
        settings = NotebookSettings(
            port=0, oidc_issuer=issuer, oidc_client_id=CLIENT_ID, oidc_client_secret=CLIENT_SECRET
        )
        with ours(folder, settings=settings) as target, httpx.Client(base_url=target.url) as browser:
            refused = browser.get("/oidc/start", headers={"accept": "text/html"})
            assert refused.status_code == 400
            assert "The provider" in refused.text


def test_without_a_provider_there_is_no_way_to_one(tmp_path: Path) -> None:
    with (
        ours(attacks.write_notebooks(tmp_path, rows=attacks.ROWS)) as target,
        httpx.Client(base_url=target.url) as browser,
    ):
        assert browser.get("/oidc/start").status_code == 404
        assert "Continue with" not in browser.get("/sign-in").text
