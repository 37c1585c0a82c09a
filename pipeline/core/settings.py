"""Settings: read once per process, from an environment that the composition root passes in.

No secret has a working default outside the embedded mode: with `DATABASE_URL` set,
`WORKBENCH_SECRET` must be set too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.core.errors import SettingsError

PREFIX = "WORKBENCH_"
Positive = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
SHORTEST_SECRET = 32


class IngestLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request and one event may weigh; beyond it the answer is 413, or `invalid` for the event."""

    wire_bytes: Positive = 5_000_000
    """Bytes of a request's body as sent (compressed, if it is)."""
    body_bytes: Positive = 20_000_000
    """Bytes of a request's body after decompression."""
    events: Positive = 5_000
    """Events per request."""
    event_bytes: Positive = 65_536
    """Bytes of one event's JSON text."""
    depth: Positive = 8
    """Levels of nesting in `properties`."""
    keys: Positive = 250
    """Keys in one event's `properties`, at all levels together."""
    string_length: Positive = 8_192
    """Characters of one string."""
    queued_events: Positive = 50_000
    """Events that may wait for landing before the answer is 503."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the environment decides, with its defaults; see `docs/settings.md`."""

    database_url: str | None = None
    """DATABASE_URL: an administrator's libpq URI. Unset: the embedded PostgreSQL in `home`."""
    home: Path = Path(".workbench")
    """WORKBENCH_HOME: where the embedded database, its secret and its logs live."""
    secret: str | None = None
    """WORKBENCH_SECRET: 32 characters or more, from which the passwords of all logins are derived."""
    host: str = "127.0.0.1"
    """WORKBENCH_HOST: the address the API listens on."""
    port: Port = 8000
    """WORKBENCH_PORT: the API's port."""
    promote_every_seconds: Positive = 3600
    """WORKBENCH_PROMOTE_EVERY_SECONDS: how often the embedded loop promotes."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """WORKBENCH_LOG_LEVEL: debug, info, warning or error."""
    limits: IngestLimits = IngestLimits()
    """WORKBENCH_LIMIT_<NAME>, for instance WORKBENCH_LIMIT_EVENTS."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Settings out of environment variables.

        Raises SettingsError naming the variable for a value that does not convert, an unknown
        WORKBENCH_ variable (a misspelt setting must not be silently ignored), or a missing secret.
        """
        given = {name.removeprefix(PREFIX).lower(): v for name, v in environment.items() if name.startswith(PREFIX)}
        if url := environment.get("DATABASE_URL"):
            given["database_url"] = url
        limits = {name.removeprefix("limit_"): given.pop(name) for name in list(given) if name.startswith("limit_")}
        unknown = sorted(set(given) - set(cls.__struct_fields__))
        if unknown:
            raise SettingsError(
                f"Unknown setting {PREFIX}{unknown[0].upper()}.", remedy="docs/settings.md lists every setting."
            )
        try:
            settings = msgspec.convert(given | {"limits": limits}, cls, strict=False, dec_hook=_as_path)
        except msgspec.ValidationError as error:
            raise SettingsError(f"A setting has a value that does not fit: {error}.") from error
        settings.require_secret()
        return settings

    def require_secret(self) -> None:
        """Raise SettingsError where a real server is used without a secret of our own."""
        if self.database_url and not self.secret:
            raise SettingsError(
                "DATABASE_URL is set, but WORKBENCH_SECRET is not.",
                remedy="Set it to 32 random characters or more, the same for all processes: openssl rand -hex 32.",
            )
        if self.secret is not None and len(self.secret) < SHORTEST_SECRET:
            raise SettingsError(f"WORKBENCH_SECRET has fewer than {SHORTEST_SECRET} characters.")


def _as_path(wanted: type, value: Any) -> Path:
    """msgspec's hook for types that it does not know: the only one here is Path."""
    if wanted is not Path:
        raise TypeError(wanted)
    return Path(value)
