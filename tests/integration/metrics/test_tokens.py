"""Tokens are issued for active tenants only, by the newest key, to the API alone; the kernel verifies them."""

from __future__ import annotations

import time

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import TenantError
from pipeline.core.metrics.reading import issue_token
from pipeline.core.signing_keys import add_signing_key, ensure_signing_key
from pipeline.core.tenants import resume_tenant, suspend_tenant
from tests.conftest import NewTenant
from tests.integration.metrics.tokens import issued

KEYS = "select key_id from control.signing_keys where retired_at is null order by created_at desc"


def test_an_issued_token_is_what_the_kernel_verifies(database: Database, new_tenant: NewTenant) -> None:
    new_tenant("acme")
    before = int(time.time())
    token = issued(database, "acme", seconds=90)
    tenant, expires, key_id, signature = token.split("|")
    assert (tenant, len(signature)) == ("acme", 64)
    assert before + 90 <= int(expires) <= int(time.time()) + 91
    with database.connect(ServiceRole.API) as connection:
        connection.execute("select set_config('workbench.tenant_token', %s, true)", (token,))
        assert connection.execute("select control.current_tenant()").fetchone() == ("acme",)
    with database.connect_admin() as admin:
        assert admin.execute(KEYS).fetchone() == (key_id,)


def test_whom_no_token_is_for_gets_none(database: Database, new_tenant: NewTenant) -> None:
    new_tenant("acme")
    with database.connect(ServiceRole.API, autocommit=True) as api:
        for seconds in (0, -1, 3601, None):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="1 to 3600"):
                api.execute("select control.issue_tenant_token('acme', %s)", (seconds,))
        for unknown in ("globex", "", None, "acme|1", "ACME"):
            with pytest.raises(psycopg.errors.NoDataFound, match="no such tenant"):
                api.execute("select control.issue_tenant_token(%s, 60)", (unknown,))
        with pytest.raises(TenantError, match="no tenant 'globex'"):
            issue_token(api, "globex", seconds=60)
        suspend_tenant(database, "acme")
        with pytest.raises(TenantError, match="suspended"):
            issue_token(api, "acme", seconds=60)
        resume_tenant(database, "acme")
        assert issue_token(api, "acme", seconds=60)


def test_only_the_api_may_have_tokens_issued(database: Database, new_tenant: NewTenant) -> None:
    new_tenant("acme")
    for role in ServiceRole:
        with database.connect(role) as connection:
            if role is ServiceRole.API:
                assert connection.execute("select control.issue_tenant_token('acme', 60)").fetchone()
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select control.issue_tenant_token('acme', 60)")


def test_nobody_who_logs_in_reads_a_signing_key(database: Database) -> None:
    for role in ServiceRole:
        with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from control.signing_keys")


def test_a_deployment_makes_the_first_key_and_no_second(database: Database, new_tenant: NewTenant) -> None:
    new_tenant("acme")
    with database.connect_admin() as admin:
        [first] = admin.execute(KEYS).fetchall()
        ensure_signing_key(admin)
        assert admin.execute(KEYS).fetchall() == [first]
        admin.execute("update control.signing_keys set retired_at = now()")
        admin.commit()
        with database.connect(ServiceRole.API) as api:
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="no signing key") as caught:
                api.execute("select control.issue_tenant_token('acme', 60)")
            assert "workbench db migrate" in (caught.value.diag.message_hint or "")
        ensure_signing_key(admin)
        assert len(admin.execute(KEYS).fetchall()) == 1


def test_the_newest_key_signs_and_older_ones_verify_until_they_are_retired(
    database: Database, new_tenant: NewTenant
) -> None:
    new_tenant("acme")
    old = issued(database, "acme")
    with database.connect_admin() as admin:
        newest = add_signing_key(admin)
        admin.commit()
        new = issued(database, "acme")
        assert new.split("|")[2] == newest
        with database.connect(ServiceRole.EMBED, autocommit=True) as embed:
            for token in (old, new):
                embed.execute("select * from metrics.freshness(%s)", (token,))
            admin.execute("update control.signing_keys set retired_at = now() where key_id <> %s", (newest,))
            admin.commit()
            embed.execute("select * from metrics.freshness(%s)", (new,))
            with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
                embed.execute("select * from metrics.freshness(%s)", (old,))
