"""The settings of Metabase: where it is, who administers it, and what embed tokens may do.

They are checked when a process reads them. Dashboards are applied by `workbench/metabase/`, tokens made by the API.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from pipeline.core.errors import SettingsError
from pipeline.core.notebooks import origin_of

Positive = Annotated[int, msgspec.Meta(ge=1)]
MOST_TOKEN_SECONDS = 600
"""A token cannot be called back, so none lives for longer."""
LEAST_TOKEN_SECONDS = 10
SHORTEST_PASSWORD = 8


class MetabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Metabase is reached, by us and by browsers, and the bounds of embed tokens; there may be none."""

    url: str | None = None
    """Its address as this project's processes reach it, such as http://metabase:3000. Unset: there is no Metabase."""
    public_url: str | None = None
    """Its address as browsers reach it, such as https://metabase.example.com. Unset: the above."""
    admin_email: str | None = None
    """The administrator as whom dashboards are applied; made by the first `workbench metabase apply`."""
    admin_password: str | None = None
    """The administrator's password."""
    site_name: str = "Analytics"
    """What Metabase calls itself."""
    database_host: str | None = None
    """The host at which Metabase reaches PostgreSQL. Unset: that of DATABASE_URL."""
    database_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    """The port at which Metabase reaches PostgreSQL. Unset: that of DATABASE_URL."""
    token_seconds: Annotated[int, msgspec.Meta(ge=LEAST_TOKEN_SECONDS, le=MOST_TOKEN_SECONDS)] = MOST_TOKEN_SECONDS
    """How long an embed token lives, at most."""
    tokens_per_minute: Positive = 600
    """Embed tokens that one tenant may have in a minute, for each process of the API."""
    allowed_origins: str = ""
    """Origins of pages that use Metabase's embedding component, comma-separated."""

    @property
    def browser_url(self) -> str | None:
        """The address for browsers, without a slash at its end; None where there is no Metabase."""
        url = self.public_url or self.url
        return url.rstrip("/") if url else None

    def origins(self) -> list[str]:
        """The origins of pages that use Metabase's embedding component."""
        return [origin.strip() for origin in self.allowed_origins.split(",") if origin.strip()]

    def require_whole(self) -> None:
        """Raise SettingsError, repeating no secret, where a value does not fit or a group is set by halves."""
        if self.public_url and not self.url:
            raise SettingsError("WORKBENCH_METABASE_PUBLIC_URL is set, but WORKBENCH_METABASE_URL is not.")
        for name, url in (("URL", self.url), ("PUBLIC_URL", self.public_url)):
            if url is not None:
                _require_address(url, f"WORKBENCH_METABASE_{name}")
        for origin in self.origins():
            origin_of(origin, "WORKBENCH_METABASE_ALLOWED_ORIGINS")
        self._require_administrator()

    def _require_administrator(self) -> None:
        if bool(self.admin_email) != bool(self.admin_password):
            raise SettingsError(
                "Of Metabase's administrator only one half is set.",
                remedy="Set both WORKBENCH_METABASE_ADMIN_EMAIL and WORKBENCH_METABASE_ADMIN_PASSWORD.",
            )
        if self.admin_email is not None and "@" not in self.admin_email.strip("@"):
            raise SettingsError("WORKBENCH_METABASE_ADMIN_EMAIL is no address such as metabase@example.com.")
        if self.admin_password is not None and len(self.admin_password) < SHORTEST_PASSWORD:
            raise SettingsError(f"WORKBENCH_METABASE_ADMIN_PASSWORD has fewer than {SHORTEST_PASSWORD} characters.")


def _require_address(url: str, name: str) -> None:
    """Raise SettingsError, without the address, unless it is one that a path can be added to."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        fits = fits and parts.username is None and parts.password is None and not parts.query and not parts.fragment
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError(f"{name} is no address such as https://metabase.example.com.")
