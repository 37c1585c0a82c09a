"""The people at the notebook server's door: who may enter, and who has entered already.

It works as the role `workbench_notebooks`. Adding, changing and disabling users is the operator's,
in `register.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pipeline.core import audit
from pipeline.core.clock import Clock, utc_now
from pipeline.core.database import GIVE_UP_ON_SILENCE, Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.tenants import TENANT_ID
from workbench.people import attempts, sessions, statements
from workbench.people.emails import normalized
from workbench.people.errors import SignInRefused
from workbench.people.passwords import Passwords
from workbench.people.principal import Client, Identity, Principal, SignedIn
from workbench.people.sessions import SessionLimits, token_hash
from workbench.people.strength import require_strong

CONNECTIONS = 8
WAIT_SECONDS = 5.0
LONGEST_CLAIM = 255
"""Characters of a subject, by OpenID Connect."""
NOBODY = "somebody unknown"
NO_ACCOUNT = "There is no account for you here, or it may not sign in."

Pool = ConnectionPool[psycopg.Connection]


class TenantName(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that may be looked at."""

    tenant_id: str
    display_name: str
    login: str
    """The login role that reads as this tenant."""


class People:
    """Lets people in and knows them again. Blocks; safe to call from several threads.

    Every method raises DatabaseUnavailable where the database does not answer.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        limits: SessionLimits | None = None,
        passwords: Passwords | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._pool = pool
        self._limits = limits or SessionLimits()
        self._passwords = passwords or Passwords()
        self._clock = clock

    def sign_in(self, email: str, password: str, *, client: Client) -> SignedIn:
        """Open a session for who knows the password.

        Raises TooManyAttempts, or SignInRefused, which is the same and takes as long for a wrong
        password, an unknown e-mail, a disabled user and a suspended tenant.
        """
        address = normalized(email)
        with self._connection() as connection:
            attempt = attempts.begin(connection, attempts.subjects(email=email, address=client.address), self._clock())
            user_id, stored = self._stored_password(connection, address)
        compared = self._passwords.compare(password, stored)
        now = self._clock()
        with self._connection() as connection, connection.transaction():
            values = {"user_id": user_id, "compared": stored, "rehashed": compared.rehashed}
            if compared.matches and (entering := _enter(connection, statements.ENTER_BY_PASSWORD, now=now, **values)):
                attempts.succeed(connection, attempt)
                return self._admit(connection, entering, client, by="password")
            # What was typed is told of users alone: it may be a password, in the wrong place.
            told = {"email": address if user_id else None, "address": client.address, "blocks": attempt.fills}
            audit.record(connection, actor=NOBODY, action="refuse sign-in", details=told)
        raise SignInRefused

    def sign_in_by_identity(self, identity: Identity, *, client: Client) -> SignedIn:
        """Open a session for whom an OIDC provider vouches for, out of a verified ID token.

        A user is known by issuer and subject; the first time, by an e-mail that the provider has
        verified. Raises SignInRefused.
        """
        if not (_is_claim(identity.issuer) and _is_claim(identity.subject)):
            raise SignInRefused(NO_ACCOUNT)
        email = normalized(identity.email or "") if identity.email_verified else None
        values = {"issuer": identity.issuer, "subject": identity.subject, "email": email, "now": self._clock()}
        with self._connection() as connection, connection.transaction():
            known = _enter(connection, statements.ENTER_BY_IDENTITY, **values)
            if known is None and email is not None:
                # The other of two first sign-ins at once finds the link there.
                known = _enter(connection, statements.LINK_IDENTITY, **values) or _enter(
                    connection, statements.ENTER_BY_IDENTITY, **values
                )
            if known is not None:
                return self._admit(connection, known, client, by=identity.issuer)
            told = {"by": identity.issuer, "subject": identity.subject, "email": email, "address": client.address}
            audit.record(connection, actor=NOBODY, action="refuse sign-in", details=told)
        raise SignInRefused(NO_ACCOUNT)

    def principal_of(self, token: str) -> Principal | None:
        """Whose session it is, if it is open; notes that it is in use."""
        now = self._clock()
        with self._connection() as connection:
            found = sessions.find(connection, token, self._limits, now)
            if found is not None:
                sessions.touch(connection, token, self._limits, now)
        return found

    def watch(self, token: str) -> Principal | None:
        """Whose session it is, if it is open, without counting as use: for connections that stay."""
        with self._connection() as connection:
            return sessions.find(connection, token, self._limits, self._clock())

    def sign_out(self, token: str) -> None:
        """Close the session; an unknown or closed one stays as it is."""
        values = {"token_hash": token_hash(token), "now": self._clock()}
        with self._connection() as connection, connection.transaction():
            closed = connection.execute(statements.CLOSE_SESSION, values).fetchone()
            if closed is not None:
                email, tenant_id = closed
                audit.record(connection, actor=email, action="sign out", details={"tenant_id": tenant_id})

    def change_password(self, token: str, current: str, wanted: str) -> None:
        """Give the session's user another password, and close the user's other sessions.

        Raises SignInRefused for a closed session or a wrong current password, TooManyAttempts, and
        PasswordRefused for one that is too weak.
        """
        principal = self.watch(token)
        if principal is None:
            raise SignInRefused("You are not signed in any more.", remedy="Sign in again.")
        require_strong(wanted, email=principal.email)
        with self._connection() as connection:
            attempt = attempts.begin(connection, (attempts.of_email(principal.email),), self._clock())
            _, stored = self._stored_password(connection, principal.email)
        if not self._passwords.compare(current, stored).matches:
            with self._connection() as connection:
                told = {"blocks": attempt.fills}
                audit.record(connection, actor=principal.email, action="refuse change of password", details=told)
            raise SignInRefused("The current password is another one.")
        values = {"user_id": principal.user_id, "compared": stored, "wanted": self._passwords.hash(wanted)}
        with self._connection() as connection, connection.transaction():
            if connection.execute(statements.CHANGE_PASSWORD, values).fetchone() is None:
                raise SignInRefused("The password was changed in another place just now.", remedy="Sign in again.")
            others = {"user_id": principal.user_id, "token_hash": token_hash(token), "now": self._clock()}
            connection.execute(statements.CLOSE_OTHER_SESSIONS, others)
            attempts.succeed(connection, attempt)
            audit.record(connection, actor=principal.email, action="change password", details={})

    def tenants(self) -> list[TenantName]:
        """The active tenants, by name: what an administrator may choose from."""
        with self._connection() as connection:
            return connection.cursor(row_factory=class_row(TenantName)).execute(statements.ALL_TENANTS).fetchall()

    def tenant(self, tenant_id: str) -> TenantName | None:
        """The tenant, if it is known and active."""
        if TENANT_ID.fullmatch(tenant_id) is None:
            return None
        with self._connection() as connection:
            cursor = connection.cursor(row_factory=class_row(TenantName))
            return cursor.execute(statements.ONE_TENANT, {"tenant_id": tenant_id}).fetchone()

    def _admit(self, connection: psycopg.Connection, principal: Principal, client: Client, *, by: str) -> SignedIn:
        token = sessions.open_session(connection, principal, client, self._limits, self._clock())
        told = {"by": by, "address": client.address, "tenant_id": principal.tenant_id}
        audit.record(connection, actor=principal.email, action="sign in", details=told)
        return SignedIn(principal=principal, token=token)

    def _stored_password(self, connection: psycopg.Connection, email: str | None) -> tuple[Any, str | None]:
        row = connection.execute(statements.STORED_PASSWORD, {"email": email}).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable("Nobody can be let in now: the database does not answer.") from error


@contextmanager
def open_people(
    database: Database,
    *,
    limits: SessionLimits | None = None,
    passwords: Passwords | None = None,
    clock: Clock = utc_now,
) -> Iterator[People]:
    """The people of a database, with a pool of connections for as long as it is needed."""
    pool: Pool = ConnectionPool(
        database.url(ServiceRole.NOTEBOOKS),
        min_size=1,
        max_size=CONNECTIONS,
        timeout=WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        kwargs={
            "autocommit": True,
            "application_name": "workbench_notebooks_people",
            "options": "-c timezone=UTC",
            **GIVE_UP_ON_SILENCE,
        },
        open=False,
    )
    with pool:
        yield People(pool, limits=limits, passwords=passwords, clock=clock)


def _enter(connection: psycopg.Connection, statement: str, **values: object) -> Principal | None:
    return connection.cursor(row_factory=class_row(Principal)).execute(statement.encode(), values).fetchone()


def _is_claim(text: str) -> bool:
    return 0 < len(text) <= LONGEST_CLAIM and text.isprintable()
