"""Tenants, their logins and their keys, as the roles that use them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pipeline.core import key_register, keys, tenants
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.errors import ApiKeyError, DatabaseUnavailable, TenantError


@pytest.fixture
def directory(database: Database) -> Iterator[keys.KeyDirectory]:
    with ConnectionPool(database.url(ServiceRole.API), min_size=1, open=True) as pool:
        yield keys.KeyDirectory(pool)


def test_a_key_opens_what_it_was_made_for(database: Database, directory: keys.KeyDirectory) -> None:
    tenants.add_tenant(database, "acme", event_types=["page_view"])
    grant = directory.verify(key_register.create_key(database, "acme", scopes=["ingest"]))
    assert (grant.tenant_id, grant.scopes, grant.suspended) == ("acme", frozenset({"ingest"}), False)
    assert grant.allowed_types == frozenset({"page_view"})


def test_every_wrong_key_gets_the_same_answer(database: Database, directory: keys.KeyDirectory) -> None:
    tenants.add_tenant(database, "acme")
    good = key_register.create_key(database, "acme")
    expired = key_register.create_key(database, "acme", expires_at=utc_now() - timedelta(seconds=1))
    body, secret_changed = good[:-6], good[:-38] + "0" * 32
    wrong = [
        "",
        "nonsense",
        good.upper(),
        good + "0",
        body + "000000",
        secret_changed + keys.checksum(secret_changed),
        expired,
    ]
    told = set()
    for presented in wrong:
        with pytest.raises(ApiKeyError) as caught:
            directory.verify(presented)
        told.add(str(caught.value))
    assert len(told) == 1
    assert directory.verify(good).tenant_id == "acme"


def test_a_revoked_key_opens_nothing_and_makes_room_for_another(
    database: Database, directory: keys.KeyDirectory
) -> None:
    tenants.add_tenant(database, "acme")
    first, _ = key_register.create_key(database, "acme"), key_register.create_key(database, "acme")
    with pytest.raises(ApiKeyError, match="2 live keys") as refused:
        key_register.create_key(database, "acme")
    key_id = first.split("_")[2]
    assert "keys revoke" in (refused.value.remedy or "")
    key_register.revoke_key(database, key_id)
    with pytest.raises(ApiKeyError):
        directory.verify(first)
    key_register.create_key(database, "acme")


def test_the_secret_is_stored_nowhere(database: Database) -> None:
    tenants.add_tenant(database, "acme")
    secret = key_register.create_key(database, "acme").split("_")[3][:32]
    with database.connect_admin() as connection:
        stored = connection.execute("select to_jsonb(k)::text from control.api_keys as k").fetchone()
    assert stored is not None
    assert secret not in stored[0]
    assert secret.encode().hex() not in stored[0]


def test_a_database_that_does_not_answer_is_not_a_wrong_key(database: Database) -> None:
    unreachable = "postgresql://workbench_api@/workbench?host=/nowhere"
    with ConnectionPool(unreachable, min_size=1, open=False, timeout=0.2) as pool:
        tenants.add_tenant(database, "acme")
        with pytest.raises(DatabaseUnavailable):
            keys.KeyDirectory(pool).verify(key_register.create_key(database, "acme"))


def test_suspension_ends_logins_and_shows_in_the_grant(database: Database, directory: keys.KeyDirectory) -> None:
    tenants.add_tenant(database, "acme")
    key = key_register.create_key(database, "acme")
    url = database.login_url(tenants.tenant_login(database, "acme"))
    with connect(url, application="tests") as open_session:
        tenants.suspend_tenant(database, "acme")
        with pytest.raises(psycopg.OperationalError):
            open_session.execute("select 1")
    with pytest.raises(DatabaseUnavailable, match="not permitted to log in"):
        connect(url, application="tests")
    assert directory.verify(key).suspended
    tenants.resume_tenant(database, "acme")
    connect(url, application="tests").close()
    assert not directory.verify(key).suspended


@pytest.mark.parametrize("tenant_id", ["", "Acme", "-a", "a b", "a" * 64, "acmé", "a'; drop", "a\n"])
def test_an_id_that_would_hurt_is_refused(database: Database, tenant_id: str) -> None:
    with pytest.raises(TenantError, match="cannot be a tenant id"):
        tenants.add_tenant(database, tenant_id)


def test_an_id_is_given_once_and_its_login_tells_nobody(database: Database) -> None:
    tenants.add_tenant(database, "acme", display_name="Acme Inc.")
    with pytest.raises(TenantError, match="already there"):
        tenants.add_tenant(database, "acme")
    assert "acme" not in tenants.tenant_login(database, "acme")
    with pytest.raises(TenantError, match="no tenant"):
        tenants.tenant_login(database, "globex")
    assert [t.display_name for t in tenants.list_tenants(database)] == ["Acme Inc."]
