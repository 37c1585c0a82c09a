"""docs/embedding.md works as it stands: the servers that it shows are started, and asked as a browser would."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.server import serve
from tests.integration.embeds.world import World, claims
from tests.integration.isolation.conftest import MARKERS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "embedding.md").read_text()
CODE = re.compile(r"`([a-z_]+)`")
NOBODY = "return undefined; // your session"
SESSION = "x-signed-in"
"""What stands in for a session of the product."""


def snippet(language: str) -> str:
    """A server of the document."""
    found = re.search(rf"<!-- test: {language} -->\n```\w+\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture(params=["python", "node"])
def product(request: pytest.FixtureRequest, shared: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A product's server, out of the document; nothing of it is changed but who is signed in."""
    environment = {"ANALYTICS_API": str(shared.api.base_url).rstrip("/"), "ANALYTICS_KEY_OF_ACME": shared.keys["acme"]}
    if request.param == "node":
        node = shutil.which("node")
        if node is None:
            pytest.skip("there is no Node on this machine")
        with node_server(node, environment) as client:
            yield client
        return
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with python_server() as client:
        yield client


@contextmanager
def python_server() -> Iterator[httpx.Client]:
    """The one in Python, in this process."""
    from fastapi import HTTPException, Request

    module: dict[str, Any] = {}
    exec(compile(snippet("python"), "docs/embedding.md", "exec"), module)

    def signed_in(request: Request) -> str:
        if SESSION not in request.headers:
            raise HTTPException(401)
        return request.headers[SESSION]

    signed_in.__annotations__["request"] = Request
    module["app"].dependency_overrides[module["customer_of"]] = signed_in
    with (
        serve(module["app"], host="127.0.0.1", port=0) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@contextmanager
def node_server(node: str, environment: dict[str, str]) -> Iterator[httpx.Client]:
    """The one in Node, on a free port."""
    source = snippet("node")
    assert NOBODY in source
    process = subprocess.Popen(
        [node, "--input-type=module", "-e", source.replace(NOBODY, f'return request.headers["{SESSION}"];')],
        env=environment | {"PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().rpartition(" ")[2].strip()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        process.kill()
        process.communicate()


def test_a_documented_server_gives_its_pages_what_they_show(shared: World, product: httpx.Client) -> None:
    signed_in = {SESSION: "acme"}
    framed = product.post("/analytics/embed?dashboard=usage", headers=signed_in)
    assert framed.status_code == 200
    assert framed.json().keys() == {"url", "expires_at", "as_of", "held"}
    token = framed.json()["url"].rpartition("/")[2].partition("#")[0]
    assert MARKERS["acme"] in str(shared.shown(token))
    sent = {"entityType": "dashboard", "entityId": shared.dashboard_id("Adoption"), "customContext": {"of": "globex"}}
    component = product.post("/analytics/guest", json=sent, headers=signed_in)
    assert component.status_code == 200
    assert list(component.json()) == ["jwt"]
    assert claims(component.json()["jwt"])["params"]["tenant"][0].startswith("acme|")


def test_a_documented_server_tells_its_pages_why_not(product: httpx.Client) -> None:
    signed_in = {SESSION: "acme"}
    unknown = product.post("/analytics/embed?dashboard=ledger", headers=signed_in)
    assert unknown.status_code == 404
    assert "none of the dashboards" in str(unknown.json())
    assert product.post("/analytics/embed?dashboard=usage").status_code == 401
    malformed = product.post("/analytics/guest", json={"entityType": "question", "entityId": 1}, headers=signed_in)
    assert malformed.status_code == 502


def test_the_documented_pages_ask_what_the_documented_servers_answer() -> None:
    pages = re.findall(r"^```html\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
    asked = {path for page in pages for path in re.findall(r'"(/analytics/\w+)', page)}
    assert asked == {"/analytics/embed", "/analytics/guest"}
    for language in ("python", "node"):
        assert all(f'"{path}"' in snippet(language) for path in asked)
    for field in ("url", "expires_at", "as_of", "held"):
        assert f"told.{field}" in pages[0]


def test_every_refusal_that_the_document_lists_is_one_of_the_api() -> None:
    sources = "".join(path.read_text() for path in (Path(__file__).parents[3] / "api").glob("*.py"))
    table = DOCUMENT.partition("### What can go wrong")[2].partition("Every token is")[0]
    codes = {code for row in table.splitlines() if row.startswith("| ") for code in CODE.findall(row.split("|")[2])}
    assert len(codes) >= 9
    assert all(f'"{code}"' in sources for code in codes)
