"""Our own pages over HTTP: signing in and out, the home page, the account, and what every answer forbids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pipeline.core.clock import utc_now
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.notebooks import NotebookSettings
from tests.integration.notebooks import attacks
from tests.integration.notebooks.served import Target, ours
from tests.unit.workbench.serving.people import PASSWORD, FakePeople, Named
from workbench.people.principal import SignedIn
from workbench.serving.kernels import STATIC_URL
from workbench.session.freshness import Freshness

HOSTILE = "<script>alert(1)</script>"


def held(tenant_id: str) -> Freshness:
    """Acme is held, Globex has nothing yet, and of others nothing can be read."""
    now = utc_now()
    if tenant_id == "acme":
        return Freshness(promotion_id=7, as_of=now - timedelta(minutes=20), held=True, held_since=now)
    if tenant_id == "globex":
        return Freshness(promotion_id=None, as_of=None, held=False, held_since=None)
    raise DatabaseUnavailable


def away(*_: object, **__: object) -> SignedIn:
    """Nobody signs in."""
    raise DatabaseUnavailable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two notebooks, one for stewards."""
    quality = attacks.ROWS.replace('"""Rows.', '"""Quality.')
    hostile = attacks.ROWS.replace("Whose rows are these?", f"Whose {HOSTILE} rows?")
    return attacks.write_notebooks(tmp_path_factory.mktemp("notebooks"), rows=hostile, quality=quality)


@pytest.fixture(scope="module")
def target(folder: Path) -> Iterator[Target]:
    """Our server."""
    with ours(folder, freshness_of=held) as target:
        yield target


@pytest.fixture
def browser(target: Target) -> Iterator[httpx.Client]:
    """A browser of nobody, which keeps cookies."""
    headers = {"accept": "text/html", "origin": target.origin}
    with httpx.Client(base_url=target.url, headers=headers) as client:
        yield client


def form_of(page: httpx.Response) -> str:
    """The token of a page's form."""
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def sign_in(browser: httpx.Client, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Fill in the sign-in page."""
    page = browser.get("/sign-in")
    return browser.post("/sign-in", data={"form": form_of(page), "email": email, "password": password} | fields)


def test_a_person_signs_in_sees_the_home_page_and_signs_out(browser: httpx.Client, target: Target) -> None:
    assert browser.get("/").headers["location"] == "/sign-in"
    entered = sign_in(browser, "acme@example.com")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = next(each for each in entered.headers.get_list("set-cookie") if "workbench_sign_in" in each)
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    home = browser.get("/")
    assert home.status_code == 200
    assert "Acme Inc." in home.text
    assert 'href="/notebooks/rows/"' in home.text
    assert "/notebooks/quality/" not in home.text
    assert "20 minutes ago" in home.text
    assert "the last good state" in home.text
    token = browser.cookies["workbench_sign_in"]
    left = browser.post("/sign-out", data={"form": form_of(home)})
    assert left.headers["location"] == "/sign-in?out"
    assert "workbench_sign_in" not in browser.cookies
    assert target.people.principal_of(token) is None
    assert "You are signed out." in browser.get("/sign-in?out").text


def test_a_notebooks_question_and_a_tenants_name_are_escaped(target: Target) -> None:
    with target.client("globex") as client:
        home = client.get("/").text
    assert HOSTILE not in home
    assert "&lt;script&gt;" in home
    assert "Globex &lt;Corporation&gt;" in home
    assert "Nothing is published yet." in home


def test_a_steward_sees_quality_and_an_admin_chooses_a_tenant(target: Target) -> None:
    with target.client("steward") as client:
        home = client.get("/").text
        assert "/notebooks/quality/" in home
        assert "/notebooks/rows/" not in home
        assert '<option value="acme"' not in home
    with target.client("admin") as client:
        home = client.get("/").text
        assert "Choose a tenant" in home
        assert "/notebooks/rows/" not in home
        chosen = client.get("/?tenant=globex").text
        assert 'href="/notebooks/rows/?tenant=globex"' in chosen
        assert '<option value="globex" selected>' in chosen
        assert client.get("/?tenant=nobody").status_code == 404


def test_a_home_page_whose_data_cannot_be_read_says_so(folder: Path) -> None:
    people = FakePeople()
    people.tenant_names.append(Named(tenant_id="initech", display_name="Initech"))
    with ours(folder, people=people, freshness_of=held) as target, target.client("admin") as client:
        assert "cannot be read right now" in client.get("/?tenant=initech").text


def test_a_wrong_password_is_refused_without_telling_who_exists(browser: httpx.Client) -> None:
    known = sign_in(browser, "acme@example.com", "wrong")
    unknown = sign_in(browser, f'x"><{HOSTILE}@example.com', "wrong")
    assert known.status_code == unknown.status_code == 401
    assert "workbench_sign_in" not in browser.cookies
    assert "The e-mail or the password is wrong" in known.text
    assert "The e-mail or the password is wrong" in unknown.text
    assert HOSTILE not in unknown.text


def test_too_many_attempts_are_told_with_when_to_come_back(folder: Path) -> None:
    people = FakePeople()
    people.most_attempts = 0
    with ours(folder, people=people) as target, httpx.Client(base_url=target.url) as browser:
        browser.headers["origin"] = target.origin
        refused = sign_in(browser, "acme@example.com")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "Try again in 60 seconds." in refused.text


def test_a_database_that_is_away_is_told_at_the_door(folder: Path) -> None:
    people = FakePeople()
    people.sign_in = away  # type: ignore[method-assign]
    with ours(folder, people=people) as target, httpx.Client(base_url=target.url) as browser:
        browser.headers["origin"] = target.origin
        refused = sign_in(browser, "acme@example.com")
    assert refused.status_code == 503
    assert "The database does not answer" in refused.text


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/notebooks/rows/?tenant=acme", "/notebooks/rows/?tenant=acme"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_to_pages_of_this_server_alone(browser: httpx.Client, wanted: str, goes: str) -> None:
    assert sign_in(browser, "acme@example.com", next=wanted).headers["location"] == goes
    assert browser.get("/sign-in", params={"next": wanted}).headers["location"] == goes


def test_a_form_made_for_another_browser_is_refused(browser: httpx.Client, target: Target) -> None:
    with httpx.Client(base_url=target.url) as attackers:
        foreign = form_of(attackers.get("/sign-in"))
    browser.get("/sign-in")
    fields = {"form": foreign, "email": "acme@example.com", "password": PASSWORD}
    refused = browser.post("/sign-in", data=fields)
    assert refused.status_code == 403
    assert "out of date" in refused.text
    sign_in(browser, "acme@example.com")
    for path in ("/sign-out", "/close", "/account"):
        assert browser.post(path, data={"form": foreign}).status_code == 403
        assert browser.post(path, data={}).status_code == 403
    assert browser.get("/").status_code == 200


def test_a_form_posted_by_a_foreign_page_is_refused(browser: httpx.Client) -> None:
    page = browser.get("/sign-in")
    fields = {"form": form_of(page), "email": "acme@example.com", "password": PASSWORD}
    for origin in ("https://evil.example", "null"):
        assert browser.post("/sign-in", data=fields, headers={"origin": origin}).status_code == 403
    del browser.headers["origin"]
    assert browser.post("/sign-in", data=fields).status_code == 403
    assert browser.post("/sign-in", data=fields, headers={"sec-fetch-site": "same-origin"}).status_code == 303


def test_a_form_that_is_too_large_is_refused(browser: httpx.Client) -> None:
    page = browser.get("/sign-in")
    assert browser.post("/sign-in", data={"form": form_of(page), "email": "x" * 20_000}).status_code == 413


def test_signing_in_anew_ends_the_sign_in_before(browser: httpx.Client, target: Target) -> None:
    sign_in(browser, "acme@example.com")
    before = browser.cookies["workbench_sign_in"]
    page = browser.get("/account")
    fields = {"form": form_of(page), "email": "globex@example.com", "password": PASSWORD}
    assert browser.post("/sign-in", data=fields).status_code == 303
    assert browser.cookies["workbench_sign_in"] != before
    assert target.people.principal_of(before) is None


def test_a_person_changes_the_password(browser: httpx.Client, target: Target) -> None:
    sign_in(browser, "acme@example.com")
    elsewhere = target.people.signed_in("acme@example.com").token
    for current, wanted, said in (
        ("wrong", "long enough to be good", "is wrong"),
        (PASSWORD, "short", "The password is too short."),
        (PASSWORD, "long enough to be good", "The password is changed."),
    ):
        fields = {"form": form_of(browser.get("/account")), "current": current, "wanted": wanted}
        assert said in browser.post("/account", data=fields).text
    assert target.people.principal_of(elsewhere) is None
    assert browser.get("/account").status_code == 200


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/style.css", "/absent", "/notebooks/absent/"])
def test_every_answer_forbids_what_it_does_not_need(browser: httpx.Client, path: str) -> None:
    got = browser.get(path)
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["referrer-policy"] == "same-origin"
    assert got.headers["x-frame-options"] == "DENY"
    policy = got.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "server" not in got.headers


def test_a_notebooks_page_runs_no_inline_script_but_its_own(target: Target) -> None:
    with target.client("acme") as client:
        page = client.get("/notebooks/rows/")
        again = client.get("/notebooks/rows/", headers={"if-none-match": page.headers["etag"]})
    policy = page.headers["content-security-policy"]
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert "'unsafe-inline'" not in scripts
    assert scripts.count("'sha256-") == 3
    assert "http" not in scripts
    assert page.headers["cache-control"] == "private, no-store"
    assert again.status_code == 200
    assert f'src="{STATIC_URL}/assets/index-' in page.text


def test_marimos_scripts_are_kept_by_browsers_and_are_nobodys_secret(browser: httpx.Client, target: Target) -> None:
    with target.client("acme") as client:
        found = re.search(rf"{STATIC_URL}/assets/index-[\w-]+\.js", client.get("/notebooks/rows/").text)
    assert found is not None
    got = browser.get(found[0])
    assert (got.status_code, got.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    for path in ("/../pyproject.toml", "/%2e%2e/CLAUDE.md", "/assets/../../__init__.py"):
        assert browser.get(STATIC_URL + path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:1", ""])
def test_a_request_under_a_foreign_name_is_refused(browser: httpx.Client, host: str) -> None:
    assert browser.get("/sign-in", headers={"host": host}).status_code in (400, 421)
    assert browser.get("/healthz", headers={"host": host or "x"}).status_code == 200


def test_health_is_told_without_a_sign_in(browser: httpx.Client) -> None:
    assert (browser.get("/healthz").status_code, browser.get("/healthz").text) == (200, "ok\n")


def test_over_https_cookies_are_bound_to_it(folder: Path) -> None:
    settings = NotebookSettings(port=0, public_url="https://notebooks.example.com")
    with ours(folder, settings=settings) as target, httpx.Client(base_url=target.url) as browser:
        browser.headers.update({"host": "notebooks.example.com", "origin": "https://notebooks.example.com"})
        page = browser.get("/sign-in")
        assert page.headers["strict-transport-security"]
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("__Host-workbench_form=")
        assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        fields = {"form": form_of(page), "email": "acme@example.com", "password": PASSWORD}
        sent = {"cookie": cookie.partition(";")[0]}
        entered = browser.post("/sign-in", data=fields, headers=sent)
        assert entered.headers.get_list("set-cookie")[-1].startswith("__Host-workbench_sign_in=")
        assert "Secure" in entered.headers.get_list("set-cookie")[-1]
        plain = browser.post("/sign-in", data=fields, headers=sent | {"origin": "http://notebooks.example.com"})
        assert plain.status_code == 403


def test_all_of_a_persons_notebooks_are_closed_at_once(browser: httpx.Client, target: Target) -> None:
    sign_in(browser, "acme@example.com")
    assert target.app is not None
    with attacks.connected(target, "rows", "acme", attacks.new_id()) as socket:
        attacks.must_hear(socket, "secret of acme")
        assert target.app.kernels.count() == 1
        fields = {"form": form_of(browser.get("/")), "next": "/notebooks/rows/"}
        assert browser.post("/close", data=fields).headers["location"] == "/notebooks/rows/"
        assert target.app.kernels.count() == 0
