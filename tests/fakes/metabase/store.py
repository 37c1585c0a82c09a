"""What the fake Metabase keeps, and the rules that it keeps it by."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

SETTINGS: Mapping[str, object] = {
    "admin-email": None,
    "anon-tracking-enabled": True,
    "embedding-app-origins-sdk": "localhost:*",
    "embedding-secret-key": None,
    "enable-public-sharing": True,
    "site-name": "Metabase",
    "site-url": None,
}
"""With what they are before anybody sets them."""
COMMON_PASSWORDS = frozenset({"password1", "metabase1", "qwerty123"})
ATTEMPTS = 10
"""So many wrong passwords, and the account has to wait."""


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: object) -> None:
        self.status = status
        self.body = body
        super().__init__(f"{status}: {body}")


@dataclass(kw_only=True)
class Store:
    """Everything that outlives a request."""

    settings: Document = field(default_factory=dict)
    """What was set, by key."""
    environment: Document = field(default_factory=dict)
    """Settings that Metabase's environment decides, by key."""
    users: dict[str, Document] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    setup_token: str | None = field(default_factory=lambda: secrets.token_hex(16))
    databases: dict[int, Document] = field(default_factory=dict)
    collections: dict[int, Document] = field(default_factory=dict)
    cards: dict[int, Document] = field(default_factory=dict)
    dashboards: dict[int, Document] = field(default_factory=dict)
    switch: str = "enable-embedding-static"
    """What this release calls the switch of embedding."""
    answers_older_shape: bool = True
    """It still answers queries in the older shape, where it is asked to."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(7))

    def known_settings(self) -> Mapping[str, object]:
        """Every setting there is, with what it is before anybody sets it."""
        return {**SETTINGS, self.switch: False}

    def is_embedding_on(self) -> bool:
        """Whether anything can be published."""
        return bool(self.setting(self.switch))

    def setting(self, key: str) -> Any:
        """What is in effect."""
        if key in self.environment:
            return self.environment[key]
        return self.settings.get(key, self.known_settings()[key])

    def write_setting(self, key: str, value: Any) -> None:
        """Set one, as its setter in Metabase does."""
        if key not in self.known_settings():
            raise Refused(404, f"Unknown setting: :{key}")
        if key in self.environment:
            raise Refused(500, {"message": f"You cannot set {key}; it is set by the environment variable {env(key)}."})
        if key == "embedding-secret-key" and value and not is_hexadecimal(value):
            raise Refused(500, {"message": "Assert failed: Invalid embedding-secret-key!"})
        if key == "embedding-app-origins-sdk":
            value = " ".join(["localhost:*", *(each for each in str(value).split() if each != "localhost:*")])
        if key == self.switch and value and not self.setting("embedding-secret-key"):
            self.settings["embedding-secret-key"] = secrets.token_hex(32)
        self.settings[key] = value

    def listed_settings(self) -> list[Document]:
        """As an administrator sees them: null for what is as it comes, and for what the environment decides."""
        entries = []
        for key, default in sorted(self.known_settings().items()):
            from_environment = key in self.environment
            value = None if from_environment or self.setting(key) == default else self.setting(key)
            entries.append(
                {
                    "key": key,
                    "value": value,
                    "is_env_setting": from_environment,
                    "env_name": env(key),
                    "default": f"Using value of env var ${env(key)}" if from_environment else default,
                    "description": key,
                }
            )
        return entries


def env(key: str) -> str:
    """The environment variable of a setting."""
    return f"MB_{key.upper().replace('-', '_')}"


def is_hexadecimal(value: object) -> bool:
    """Whether it is text of hexadecimal digits."""
    return isinstance(value, str) and bool(value) and all(digit in "0123456789abcdefABCDEF" for digit in value)


def declared(body: object, keys: Collection[str], *, required: Collection[str] = ()) -> Document:
    """The keys that an endpoint declares; all others vanish without a word. Raises Refused where one is missing."""
    given = body if isinstance(body, dict) else {}
    if missing := sorted(key for key in required if given.get(key) is None):
        told = dict.fromkeys(missing, "value must be given.")
        raise Refused(400, {"errors": told, "specific-errors": {key: ["missing required key"] for key in missing}})
    return {key: value for key, value in given.items() if key in keys}


def found(kept: Mapping[int, Document], number: int) -> Document:
    """One of those that are kept. Raises Refused if it is not."""
    if number not in kept:
        raise Refused(404, "Not found.")
    return kept[number]
