"""Keys that live as long as an import: one per tenant, made when its first line comes, revoked at the end.

An import that is killed leaves its keys behind. They expire, and the next import revokes them,
unless another import runs at that time: both hold a lock of the database, shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, connect
from pipeline.core.errors import DatabaseUnavailable, TenantError
from pipeline.core.key_register import create_key, is_live, list_keys, revoke_key
from pipeline.core.tenants import add_tenant, list_tenants

LABEL = "import"
LIFETIME = timedelta(days=7)

LOCK = 0x494D504F5254  # "IMPORT" in ASCII; advisory locks are per database
TRY_ALONE = "select pg_try_advisory_lock(%s)"
SHARE = "select pg_advisory_lock_shared(%s)"
NO_LONGER_ALONE = "select pg_advisory_unlock(%s)"


class TemporaryKeys:
    """Mints keys on demand. Use it within `temporary_keys`."""

    def __init__(self, database: Database, *, create_tenants: bool) -> None:
        self._database = database
        self._create_tenants = create_tenants
        self._known = {tenant.tenant_id for tenant in list_tenants(database)}
        self._keys: dict[str, str] = {}

    def key(self, tenant_id: str) -> str:
        """The key of a tenant, which is added first if that is wanted.

        Raises TenantError, or ApiKeyError if the tenant has as many live keys as it may have, for
        reasons that hold for all its lines; or DatabaseUnavailable.
        """
        if tenant_id not in self._keys:
            expires_at = utc_now() + LIFETIME
            with _told_if_away():
                self._ensure_tenant(tenant_id)
                key = create_key(self._database, tenant_id, label=LABEL, expires_at=expires_at)
            self._keys[tenant_id] = key
        return self._keys[tenant_id]

    def revoke(self) -> None:
        """Revoke what was minted. Raises DatabaseUnavailable; call it again then."""
        while self._keys:
            tenant_id, key = next(iter(self._keys.items()))
            with _told_if_away():
                revoke_key(self._database, key.split("_")[2])
            del self._keys[tenant_id]

    def _ensure_tenant(self, tenant_id: str) -> None:
        if tenant_id in self._known:
            return
        if not self._create_tenants:
            raise TenantError(f"There is no tenant {tenant_id}.", remedy="--create-tenants adds it.")
        try:
            add_tenant(self._database, tenant_id)
        except TenantError:
            # Somebody else may have added it, or we did, before a connection broke.
            self._known = {tenant.tenant_id for tenant in list_tenants(self._database)}
            if tenant_id not in self._known:
                raise
        self._known.add(tenant_id)


@contextmanager
def temporary_keys(database: Database, *, create_tenants: bool) -> Iterator[TemporaryKeys]:
    """Keys for the block; what is not revoked at its end, since the database is away, expires."""
    with _as_importer(database):
        keys = TemporaryKeys(database, create_tenants=create_tenants)
        try:
            yield keys
        finally:
            with suppress(DatabaseUnavailable):
                keys.revoke()


@contextmanager
def _told_if_away() -> Iterator[None]:
    """A connection that breaks in the middle is DatabaseUnavailable too."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable("The database went away while keys were made or revoked.") from error


@contextmanager
def _as_importer(database: Database) -> Iterator[None]:
    """Hold the importers' lock, shared; who finds nobody else holding it revokes what was left behind."""
    connection = connect(database.admin_url, autocommit=True, application="workbench_import")
    try:
        row = connection.execute(TRY_ALONE, (LOCK,)).fetchone()
        if row is not None and row[0]:
            _revoke_leftovers(database)
            connection.execute(SHARE, (LOCK,))
            connection.execute(NO_LONGER_ALONE, (LOCK,))
        else:
            connection.execute(SHARE, (LOCK,))
        yield
    finally:
        connection.close()


def _revoke_leftovers(database: Database) -> None:
    for key in list_keys(database):
        if key.label == LABEL and is_live(key):
            revoke_key(database, key.key_id)
