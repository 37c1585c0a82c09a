"""Which origins and hosts a request may name. Pure functions.

A browser tells with every POST and every WebSocket from which page it comes; it cannot be made to lie by
a page. So a foreign page may neither post to us nor open a WebSocket with the cookie of whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from pipeline.core.notebooks import NotebookSettings, origin_of

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """Under which names the server may be reached, and whether browsers reach it over https."""

    origins: frozenset[str]
    hosts: frozenset[str]
    secure: bool
    url: str
    """The address that people type, without a slash at its end."""

    def lets_socket_in(self, origin: str | None) -> bool:
        """Whether a WebSocket may come from a page of this origin; one that names none may not."""
        return origin is not None and origin.lower() in self.origins

    def lets_post_in(self, origin: str | None, fetch_site: str | None) -> bool:
        """Whether a POST may come from a page of this origin; without one, only if the browser says it is our own."""
        if origin is None:
            return fetch_site == "same-origin"
        return origin.lower() in self.origins

    def lets_host_in(self, host: str | None) -> bool:
        """Whether a request may name this host: a name of somebody else's may resolve to us, too."""
        return host is not None and host.lower() in self.hosts


def doors(settings: NotebookSettings, port: int) -> Doors:
    """The doors of a server that listens on `port`. Raises SettingsError for an address that is none."""
    if settings.public_url is not None:
        url = origin_of(settings.public_url, "WORKBENCH_NOTEBOOKS_PUBLIC_URL")
        origins = {url}
    else:
        named = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{named}:{port}"
        origins = {url} | ({f"http://{name}:{port}" for name in LOOPBACK} if named in LOOPBACK else set())
    origins |= {origin_of(each, "WORKBENCH_NOTEBOOKS_ALLOWED_ORIGINS") for each in settings.more_origins()}
    spelt = frozenset(name for origin in origins for name in _spellings(origin))
    hosts = frozenset(urlsplit(origin).netloc for origin in spelt)
    return Doors(origins=frozenset(origins), hosts=hosts, secure=url.startswith("https:"), url=url)


def header(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    """A request's header, None if it is missing; raises ValueError if it is there twice, which no browser sends."""
    found = [value for key, value in headers if key == name]
    if len(found) > 1:
        raise ValueError(name)
    return found[0].decode("latin-1") if found else None


def _spellings(origin: str) -> list[str]:
    """An origin with and without the port that its scheme implies."""
    parts = urlsplit(origin)
    implied: Mapping[str, int] = DEFAULT_PORTS
    if parts.port is None:
        return [origin, f"{origin}:{implied[parts.scheme]}"]
    return [origin, f"{parts.scheme}://{parts.hostname}"] if parts.port == implied[parts.scheme] else [origin]
