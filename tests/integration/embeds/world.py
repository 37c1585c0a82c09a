"""Two tenants with figures, a Metabase with the shipped dashboards, and the API in between, as a browser meets them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import httpx

from pipeline.core.database import Database
from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.key_register import create_key
from pipeline.core.settings import Settings
from tests.fakes.metabase import FakeMetabase, running_metabase
from tests.integration.isolation.embed import Embedding, embedding
from tests.integration.metabase.world import SECRET, Provisioned, environment
from workbench.cli.serve import serve_api

DAYS = {"from": "2026-03-01", "to": "2026-04-01"}
EMBEDS, GUEST = "/v1/embeds", "/v1/embeds/guest"
AUDITED = """
select actor, tenant_id, details from control.audit_log where action = 'embed_token' order by audit_id
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """All of it. `api` has no key of its own: each request says whose it is."""

    embedding: Embedding
    metabase: FakeMetabase
    api: httpx.Client
    browser: httpx.Client
    """Speaks with Metabase, as nobody."""
    keys: Mapping[str, str]
    home: Path

    @property
    def database(self) -> Database:
        return self.embedding.database

    @property
    def environment(self) -> dict[str, str | None]:
        """The settings of the command line."""
        return environment(self.database, self.metabase, self.home)

    def ask(self, tenant: str, /, *, path: str = EMBEDS, **body: Any) -> httpx.Response:
        """A token for a tenant, as its backend asks."""
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
        return self.api.post(path, json=body or {"dashboard": "usage"}, headers=headers)

    def token(self, tenant: str, dashboard: str = "usage", **body: Any) -> str:
        """The same, which must be given."""
        answer = self.ask(tenant, dashboard=dashboard, **body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def shown(self, token: str, given: Mapping[str, str] = DAYS) -> list[dict[str, Any]]:
        """The answers of all cards of the dashboard that a token opens."""
        head = self.browser.get(f"/api/embed/dashboard/{token}")
        assert head.status_code == 200, head.text
        cards = [(card["id"], card["card_id"]) for card in head.json()["dashcards"]]
        assert cards
        return [self.card(token, *card, given=given).json() for card in cards]

    def card(self, token: str, dashcard: int, card: int, *, given: Mapping[str, str] = DAYS) -> httpx.Response:
        """The answer of one card."""
        return self.browser.get(f"/api/embed/dashboard/{token}/dashcard/{dashcard}/card/{card}", params=dict(given))

    def dashboard_id(self, title: str) -> int:
        """What Metabase calls a dashboard."""
        return next(number for number, each in self.metabase.store.dashboards.items() if each["name"] == title)

    @contextmanager
    def altered(self, statements: LiteralString, *, undo: LiteralString) -> Iterator[None]:
        """The database otherwise, for a while."""
        with self.database.connect_admin(autocommit=True) as connection:
            connection.execute(statements)
            try:
                yield
            finally:
                connection.execute(undo)

    def audited(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every token that the audit log knows of: by whom, for whom, and of what."""
        with self.database.connect_admin() as connection:
            return connection.execute(AUDITED).fetchall()


@contextmanager
def world(database: Database, home: Path) -> Iterator[World]:
    """Everything started and provisioned."""
    made = embedding(database)
    with running_metabase() as metabase:
        Provisioned(database, metabase).apply()
        keys = {tenant: create_key(database, tenant, scopes=["read"]) for tenant in made.tenants}
        given = {"WORKBENCH_SECRET": SECRET, "WORKBENCH_HOME": str(home), "WORKBENCH_METABASE_URL": metabase.url}
        with (
            serve_api(Settings.from_environment(given), database, port=0) as url,
            httpx.Client(base_url=url, timeout=30) as api,
            httpx.Client(base_url=metabase.url, timeout=30) as browser,
        ):
            yield World(embedding=made, metabase=metabase, api=api, browser=browser, keys=keys, home=home)


def claims(token: str) -> dict[str, Any]:
    """What stands in a token, whoever signed it."""
    return dict(json.loads(_decoded(token.split(".")[1])))


def header(token: str) -> dict[str, Any]:
    """How it says that it is signed."""
    return dict(json.loads(_decoded(token.split(".")[0])))


def forged(
    told: Mapping[str, Any], *, secret: str = embedding_secret(SECRET, 1), algorithm: str = "HS256", **head: Any
) -> str:
    """A token signed by hand, with any secret; `none` is not signed."""
    parts = [_encoded(json.dumps({"alg": algorithm, **head}).encode()), _encoded(json.dumps(dict(told)).encode())]
    digest = hmac.digest(secret.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, "" if algorithm == "none" else _encoded(digest)])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
