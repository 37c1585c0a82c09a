"""Keys that tests hand out instead of the database."""

from __future__ import annotations

from typing import Any

from pipeline.core.errors import ApiKeyError, WorkbenchError
from pipeline.core.keys import Grant

KEY = "wb_ingest_of_acme"


class Keys:
    """Grants by key, and how often they were asked for."""

    def __init__(self) -> None:
        self.grants = {KEY: grant()}
        self.failure: WorkbenchError | None = None
        self.lookups: list[str] = []

    def verify(self, presented: str) -> Grant:
        self.lookups.append(presented)
        if self.failure is not None:
            raise self.failure
        if presented not in self.grants:
            raise ApiKeyError
        return self.grants[presented]


def grant(**overrides: Any) -> Grant:
    """A live key of tenant acme that may send any event."""
    fields: dict[str, Any] = {
        "tenant_id": "acme",
        "key_id": "k",
        "scopes": frozenset({"ingest"}),
        "allowed_types": None,
        "suspended": False,
    }
    return Grant(**fields | overrides)
