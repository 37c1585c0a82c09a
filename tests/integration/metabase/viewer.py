"""Somebody who looks at an embedded dashboard: a browser with a token, and what it gets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from pipeline.core.embedding_secret import embedding_secret
from tests.fakes.metabase import FakeMetabase
from tests.integration.metabase.world import SECRET

Claims = dict[str, Any]


def claims(dashboard: int, tenant: object, **others: Any) -> Claims:
    """What an embed token says; `tenant` is the value of the locked parameter."""
    return {"resource": {"dashboard": dashboard}, "params": {"tenant": tenant}, "exp": int(time.time()) + 60} | others


def signed(told: Claims, *, key: bytes | None = None, algorithm: str | None = "HS256") -> str:
    """A token of Metabase's format; the key is the text of the digits."""
    secret = embedding_secret(SECRET, 1).encode() if key is None else key
    header = {"typ": "JWT"} | ({} if algorithm is None else {"alg": algorithm})
    body = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(told).encode())}"
    return f"{body}.{_encoded(hmac.digest(secret, body.encode(), hashlib.sha256))}"


class Viewer:
    """A browser at a Metabase."""

    def __init__(self, metabase: FakeMetabase) -> None:
        self._http = httpx.Client(base_url=metabase.url, timeout=30)
        self._dashboards = {each["name"]: number for number, each in metabase.store.dashboards.items()}
        self._metabase = metabase

    def close(self) -> None:
        """Leave."""
        self._http.close()

    def number(self, dashboard: str) -> int:
        """What Metabase calls a dashboard."""
        return self._dashboards[dashboard]

    def open(self, token: str) -> httpx.Response:
        """The dashboard of a token."""
        return self._http.get(f"/api/embed/dashboard/{token}")

    def card(self, token: str, dashboard: str, name: str, **chosen: Any) -> httpx.Response:
        """The answer of one card of it, with the values that the viewer chose."""
        kept = self._metabase.store
        place = next(
            (each["id"], each["card_id"])
            for each in kept.dashboards[self.number(dashboard)]["dashcards"]
            if kept.cards[each["card_id"]]["name"] == name
        )
        where = f"/api/embed/dashboard/{token}/dashcard/{place[0]}/card/{place[1]}"
        return self._http.get(where, params={"parameters": json.dumps(chosen)})

    def rows(self, token: str, dashboard: str, name: str, **chosen: Any) -> list[tuple[Any, ...]]:
        """Its rows. Fails the test if it has none to give."""
        told = self.card(token, dashboard, name, **chosen).json()
        assert told["status"] == "completed", told
        return [tuple(row) for row in told["data"]["rows"]]


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
