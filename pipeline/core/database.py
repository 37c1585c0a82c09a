"""The database as its callers know it: one address per role, and connections under it.

It does not pool, and it knows no SQL beyond connecting.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg.rows import TupleRow

from pipeline.core.errors import DatabaseUnavailable

CONNECT_TIMEOUT_SECONDS = 10
GIVE_UP_ON_SILENCE: Mapping[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that vanishes without a word is given up after half a minute, not after the system's hours."""


class ServiceRole(StrEnum):
    """The login roles of our own processes."""

    LANDER = "workbench_lander"
    TRANSFORMER = "workbench_transformer"
    PUBLISHER = "workbench_publisher"
    API = "workbench_api"
    STEWARD = "workbench_steward"
    BI = "workbench_bi"
    EMBED = "workbench_embed"
    NOTEBOOKS = "workbench_notebooks"


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where the database is, and how each role logs in.

    `admin_url` may create roles and is used for deployment and tenant logins alone. Passwords are
    derived from `secret`; without one (the embedded server, reached through a socket that only its
    owner may open) there are none.
    """

    admin_url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    overrides: Mapping[str, str] = field(default_factory=dict, repr=False)
    analyst_url: str | None = field(default=None, repr=False)
    """A hot standby, where tenants read; None where they read from the server itself."""

    def password(self, login: str) -> str | None:
        """The password of a login role: base64url of HMAC-SHA256(secret, login)."""
        if self.secret is None:
            return None
        digest = hmac.digest(self.secret.encode(), login.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def login_url(self, login: str) -> str:
        """A libpq URI that logs in as `login`."""
        return self.overrides.get(login) or _with_user(self.admin_url, login, self.password(login))

    def reading_url(self, login: str) -> str:
        """A libpq URI at which a tenant's login reads: on the standby, if there is one."""
        return (replace(self, admin_url=self.analyst_url) if self.analyst_url else self).login_url(login)

    def url(self, role: ServiceRole) -> str:
        """A libpq URI that logs in as a service role."""
        return self.login_url(role.value)

    def connect(self, role: ServiceRole, *, autocommit: bool = False, application: str = "") -> psycopg.Connection:
        """A connection as a service role; raises DatabaseUnavailable."""
        return connect(self.url(role), autocommit=autocommit, application=application or role.value)

    def connect_admin(self, *, autocommit: bool = False) -> psycopg.Connection:
        """A connection as the administrator; raises DatabaseUnavailable."""
        return connect(self.admin_url, autocommit=autocommit, application="workbench_admin")


def connect(url: str, *, autocommit: bool = False, application: str, **options: Any) -> psycopg.Connection[TupleRow]:
    """A connection in UTC; raises DatabaseUnavailable naming the server, never the password."""
    try:
        return psycopg.connect(
            url,
            autocommit=autocommit,
            application_name=application,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options="-c timezone=UTC",
            **GIVE_UP_ON_SILENCE,
            **options,
        )
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer at {without_password(url)}: {reason}.",
            remedy="Is it running? `workbench doctor` checks each part.",
        ) from error


def sqlalchemy_url(url: str, driver: str = "psycopg") -> str:
    """The same address for SQLAlchemy, with a host, which Great Expectations insists on."""
    parts = urlsplit(url)
    netloc = parts.netloc if parts.hostname else f"{parts.netloc.rpartition('@')[0]}@localhost"
    return _join(f"postgresql+{driver}", netloc, parts.path, parts.query)


def without_password(url: str) -> str:
    """The address fit for a log line."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return _join(parts.scheme, f"{parts.username}@{host}", parts.path, parts.query)


def database_name(url: str) -> str:
    """The name of the database in an address."""
    return unquote(urlsplit(url).path.lstrip("/"))


def with_database(url: str, name: str) -> str:
    """The same server's address with another database."""
    parts = urlsplit(url)
    return _join(parts.scheme, parts.netloc, f"/{quote(name, safe='')}", parts.query)


def _with_user(url: str, user: str, password: str | None) -> str:
    parts = urlsplit(url)
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host = parts.netloc.rpartition("@")[2]
    return _join(parts.scheme, f"{login}@{host}", parts.path, parts.query)


def _join(scheme: str, netloc: str, path: str, query: str) -> str:
    # urlunsplit would drop the slashes of an address without a host, which libpq needs.
    return f"{scheme}://{netloc}{path}" + (f"?{query}" if query else "")
