"""The settings of the notebook server, checked when a process reads them."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import msgspec

from pipeline.core.errors import SettingsError

Positive = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
EVERYWHERE = ("0.0.0.0", "::")


class NotebookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the notebook server listens, under which address people know it, and what one person may hold open."""

    host: str = "127.0.0.1"
    """The address it listens on."""
    port: Port = 8080
    """Its port."""
    public_url: str | None = None
    """The address that people type, such as https://notebooks.example.com; cookies are Secure where it is https."""
    allowed_origins: str = ""
    """More origins from which its pages may be used, comma-separated."""
    trusted_proxies: str = ""
    """Addresses of reverse proxies, comma-separated, which are believed about where a request comes from."""
    idle_minutes: Positive = 30
    """After how long without use an open notebook is closed."""
    session_hours: Positive = 12
    """How long a sign-in lasts."""
    sessions_per_user: Positive = 8
    """Notebooks that one user may have open at once."""
    sessions_per_tenant: Positive = 40
    """Notebooks that all users of one tenant may have open at once."""
    sessions: Positive = 200
    """Notebooks that may be open at once altogether."""
    keep_seconds: Positive = 120
    """How long a notebook waits for a browser that lost its connection."""
    cache_dir: Path | None = None
    """Where extracts are kept. Unset: a folder in the home folder."""
    cache_bytes: Positive = 2_147_483_648
    """Bytes that the extracts may take on disk."""
    metrics_host: str = "127.0.0.1"
    """Where its metrics listen."""
    metrics_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    """The port of its metrics, for Prometheus. Unset: nowhere."""
    oidc_issuer: str | None = None
    """The issuer of an OpenID Connect provider that people sign in with. Unset: with passwords alone."""
    oidc_client_id: str | None = None
    """What the provider knows this server as."""
    oidc_client_secret: str | None = None
    """The secret that the provider gave this server."""
    oidc_name: str = "single sign-on"
    """What the button says that leads to the provider."""

    def require_whole(self) -> None:
        """Raise SettingsError, repeating no secret, where a value does not fit or a group is set by halves."""
        if self.public_url is not None:
            origin_of(self.public_url, "WORKBENCH_NOTEBOOKS_PUBLIC_URL")
        elif self.host in EVERYWHERE:
            raise SettingsError(
                f"The notebook server is to listen on {self.host}, but its public address is not set.",
                remedy="Set WORKBENCH_NOTEBOOKS_PUBLIC_URL to the address that people type.",
            )
        for origin in self.more_origins():
            origin_of(origin, "WORKBENCH_NOTEBOOKS_ALLOWED_ORIGINS")
        self._require_oidc()

    def more_origins(self) -> list[str]:
        """The origins beside the server's own."""
        return [origin.strip() for origin in self.allowed_origins.split(",") if origin.strip()]

    def _require_oidc(self) -> None:
        given = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret)
        if not any(given):
            return
        if not all(given):
            raise SettingsError(
                "Of the OpenID Connect settings only some are set.",
                remedy="Set WORKBENCH_NOTEBOOKS_OIDC_ISSUER, _CLIENT_ID and _CLIENT_SECRET, or none of them.",
            )
        issuer = _split(self.oidc_issuer or "", "WORKBENCH_NOTEBOOKS_OIDC_ISSUER")
        if issuer.scheme != "https" and not _is_loopback(issuer.hostname or ""):
            raise SettingsError("WORKBENCH_NOTEBOOKS_OIDC_ISSUER must begin with https://.")


def origin_of(url: str, name: str) -> str:
    """The origin of an address that is one: scheme, host and port. Raises SettingsError naming the setting."""
    parts = _split(url, name)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(f"{name} must be an address without a path, such as https://notebooks.example.com.")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _split(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        fits = fits and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or not url.isascii() or " " in url:
        raise SettingsError(f"{name} is no address such as https://notebooks.example.com.")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
