"""Embed tokens: what a browser shows Metabase to see one dashboard of one tenant, for minutes.

Two secrets of different kinds make one. The outside is a JWT that Metabase verifies, signed with a secret that we
share with it. Inside is the tenant's own token, signed in the database by a key that nobody else has: without it the
JWT opens a dashboard and no data. The tenant is the caller's word, which has verified who asks: nothing here does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import psycopg
from joserfc import jwt
from joserfc.jwk import OctKey
from psycopg.rows import class_row
from psycopg_pool import PoolTimeout

from pipeline.core import audit
from pipeline.core.embedding_secret import embedding_secret
from pipeline.core.errors import DatabaseUnavailable, EmbedsNotSetUp, NothingPublished, TenantError, UnknownDashboard
from pipeline.core.metrics.reading import Publication, issue_token, read_publication

ACTION = "embed_token"
"""What the audit log calls it."""
LOCKED = "tenant"
"""The parameter of every embedded dashboard that takes the tenant's token, and that no viewer can set."""

STATE = "select site_url, secret_generation from control.metabase_state"
DASHBOARDS = "select slug, dashboard_id, title from control.dashboards where embedded order by slug"

Connections = Callable[[], AbstractContextManager[psycopg.Connection]]


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard that may be embedded; `dashboard_id` is what Metabase calls it."""

    slug: str
    dashboard_id: int
    title: str


class Dashboards(msgspec.Struct, frozen=True, kw_only=True):
    """What may be embedded, and Metabase's address for browsers."""

    instance_url: str
    dashboards: Sequence[Dashboard]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants to see which dashboard, named by slug or by Metabase's id, and for how long."""

    tenant_id: str
    dashboard: str | int
    seconds: int
    actor: str
    """Who asks, for the audit log."""


class EmbedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token for a dashboard, and of which state the figures are that it opens."""

    dashboard: str
    token: str
    instance_url: str
    expires_at: datetime
    as_of: datetime | None
    held: bool

    def __repr__(self) -> str:
        return f"EmbedToken({self.dashboard}, expires_at={self.expires_at.isoformat()})"


class Broker(Protocol):
    """Makes embed tokens."""

    def dashboards(self) -> Dashboards:
        """What may be embedded. Raises EmbedsNotSetUp or DatabaseUnavailable."""
        ...

    def issue(self, wish: Wish) -> EmbedToken:
        """A token, which the audit log knows of by then.

        Raises EmbedsNotSetUp, UnknownDashboard, TenantError if the tenant is suspended or unknown, NothingPublished,
        and DatabaseUnavailable.
        """
        ...


class TokenBroker:
    """Makes embed tokens with connections of the API role to the primary. Safe to call from several threads.

    A connection is committed where its block ends. `secret` is WORKBENCH_SECRET; `instance_url` is Metabase for
    browsers, what was applied unless it is given. Both are read with the allow-list in one transaction each time, so
    that a rotation and an `apply` hold from the next token on.
    """

    def __init__(self, connections: Connections, *, secret: str | None, instance_url: str | None = None) -> None:
        self._connections = connections
        self._secret = secret
        self._instance_url = instance_url

    def dashboards(self) -> Dashboards:
        """See Broker."""
        try:
            with self._connections() as connection:
                return self._state(connection)[0]
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise _away() from error

    def issue(self, wish: Wish) -> EmbedToken:
        """See Broker."""
        try:
            with self._connections() as connection:
                return self._issue(connection, wish)
        except psycopg.errors.InvalidAuthorizationSpecification as error:
            raise TenantError(f"Tenant {wish.tenant_id} was suspended meanwhile.") from error
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout) as error:
            raise _away() from error

    def _issue(self, connection: psycopg.Connection, wish: Wish) -> EmbedToken:
        listed, secret = self._state(connection)
        dashboard = _find(listed.dashboards, wish.dashboard)
        tenant_token = _tenant_token(connection, wish)
        publication = read_publication(connection, tenant_token)
        if publication.promotion_id is None:
            raise _nothing_published(wish.tenant_id, publication)
        _, expires, signing_key, _ = tenant_token.split("|")
        expires_at = datetime.fromtimestamp(int(expires), UTC)
        details = {
            "dashboard": dashboard.slug,
            "dashboard_id": dashboard.dashboard_id,
            "expires_at": expires_at.isoformat(),
            "signing_key": signing_key,
        }
        audit.record(connection, actor=wish.actor, action=ACTION, tenant_id=wish.tenant_id, details=details)
        return EmbedToken(
            dashboard=dashboard.slug,
            token=sign(secret, dashboard.dashboard_id, tenant_token, expires=int(expires), seconds=wish.seconds),
            instance_url=listed.instance_url,
            expires_at=expires_at,
            as_of=publication.as_of,
            held=publication.held,
        )

    def _state(self, connection: psycopg.Connection) -> tuple[Dashboards, str]:
        """What may be embedded, and the secret that Metabase verifies with."""
        if self._secret is None:
            raise EmbedsNotSetUp(remedy="WORKBENCH_SECRET is not set: the embedding secret is derived from it.")
        row = connection.execute(STATE).fetchone()
        if row is None:
            raise EmbedsNotSetUp(remedy="Run `workbench metabase apply`.")
        site_url, generation = row
        dashboards = connection.cursor(row_factory=class_row(Dashboard)).execute(DASHBOARDS).fetchall()
        instance_url = (self._instance_url or str(site_url)).rstrip("/")
        return Dashboards(instance_url=instance_url, dashboards=dashboards), embedding_secret(self._secret, generation)


def sign(secret: str, dashboard_id: int, tenant_token: str, *, expires: int, seconds: int) -> str:
    """The JWT as Metabase reads it. Times are seconds since 1970; the secret's text is the key, not what it spells."""
    claims = {
        "resource": {"dashboard": dashboard_id},
        "params": {LOCKED: [tenant_token]},
        "iat": expires - seconds,
        "exp": expires,
    }
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(secret), algorithms=["HS256"])


def _find(dashboards: Sequence[Dashboard], wanted: str | int) -> Dashboard:
    """The dashboard of a slug or an id. Raises UnknownDashboard, which names those that there are."""
    for dashboard in dashboards:
        if wanted == (dashboard.slug if isinstance(wanted, str) else dashboard.dashboard_id):
            return dashboard
    raise UnknownDashboard([dashboard.slug for dashboard in dashboards])


def _tenant_token(connection: psycopg.Connection, wish: Wish) -> str:
    try:
        return issue_token(connection, wish.tenant_id, seconds=wish.seconds)
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise EmbedsNotSetUp("There is no key that signs.", remedy="Run `workbench embeds rotate`.") from error


def _nothing_published(tenant_id: str, publication: Publication) -> NothingPublished:
    if publication.held:
        return NothingPublished(
            f"All that tenant {tenant_id} has sent is held back by the checks, so that there is nothing to show.",
            remedy=f"`workbench holds show {tenant_id}` tells why.",
        )
    return NothingPublished(
        f"Nothing of tenant {tenant_id} is published yet, so that there is nothing to show.",
        remedy="It can be embedded after the first promotion of its events.",
    )


def _away() -> DatabaseUnavailable:
    return DatabaseUnavailable("Embed tokens cannot be made now: the database does not answer.")
