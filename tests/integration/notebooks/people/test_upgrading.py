"""From the release before there were users: nothing is lost, and people can be added at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command

from pipeline.core import deployment, fingerprint
from pipeline.core.database import Database, ServiceRole, connect, with_database
from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.tenants import add_tenant, resume_tenant, suspend_tenant
from pipeline.promote.deploy import deploy_marts
from pipeline.promote.marts import read_cached_views, read_marts
from tests.conftest import DBT_DIR, drop_database
from tests.integration.notebooks.people.conftest import HOME, JANE, WORD
from workbench.cli.context import deploy
from workbench.people.people import open_people
from workbench.people.register import add_user, set_user

FILL = """
insert into control.audit_log (actor, action, tenant_id, details) values ('sam', 'release hold', 'acme', '{"a": 1}');
insert into control.ingest_ledger values ('acme', '2026-03-02 10:00+00', 5, 5, 0, 0);
insert into control.api_keys (tenant_id, key_id, secret_hash, scopes)
values ('acme', '0123456789ab', sha256('x'), '{ingest}');
"""
CONTENT = """
select jsonb_build_object(
    'tenants', (select jsonb_agg(t order by tenant_id) from control.tenants as t),
    'logins', (select jsonb_agg(t order by tenant_id) from control.tenant_logins as t),
    'keys', (select jsonb_agg(t) from control.api_keys as t),
    'log', (select jsonb_agg(t) from control.audit_log as t),
    'ledger', (select jsonb_agg(t) from control.ingest_ledger as t)
)
"""


def deploy_until(database: Database, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the release deployed that ended with this revision."""
    upgrade = command.upgrade

    def until(config: Any, _head: str) -> None:
        upgrade(config, revision)

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", until)
        deployment.migrate(database, lambda admin: deploy_marts(admin, read_marts(DBT_DIR), read_cached_views(DBT_DIR)))


def test_a_database_with_data_takes_users_in(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = with_database(cluster, "workbench_before_users")
    deployment.ensure_database(url)
    database = Database(admin_url=url)
    deploy_until(database, "0003", monkeypatch)
    for tenant in ("acme", "globex"):
        add_tenant(database, tenant)
    suspend_tenant(database, "globex")
    with database.connect_admin() as connection:
        assert deployment.revisions(connection)[0] == "0003"
        assert connection.execute("select to_regclass('control.users')").fetchone() == (None,)
        connection.execute(FILL)
        before = connection.execute(CONTENT).fetchone()

    deploy(database)

    with database.connect_admin() as connection:
        found, head = deployment.revisions(connection)
        assert found == head
        assert connection.execute(CONTENT).fetchone() == before
        assert connection.execute("select count(*) from control.releases").fetchone() == (2,)
    with database.connect(ServiceRole.PUBLISHER) as connection:
        fingerprint.verify(connection)
    resume_tenant(database, "globex")
    add_user(database, JANE, role="analyst", tenant_id="globex", password=WORD, actor="operator")
    with open_people(database) as people:
        token = people.sign_in(JANE, WORD, client=HOME).token
        assert people.principal_of(token) is not None
        suspend_tenant(database, "globex")
        assert people.principal_of(token) is None
    drop_database(cluster, "workbench_before_users")


def test_an_administrator_without_superuser_keeps_the_register(tmp_path: Path) -> None:
    """As on a managed server: the right to create roles, and a database of one's own."""
    with EmbeddedPostgres(tmp_path) as server:
        with connect(with_database(server.admin_url, "postgres"), autocommit=True, application="tests") as superuser:
            superuser.execute("create role managed login createrole")
            superuser.execute("create database workbench owner managed")
        database = Database(admin_url=server.admin_url.replace("postgres@", "managed@"))
        deploy(database)
        add_tenant(database, "acme")
        add_user(database, JANE, role="analyst", tenant_id="acme", password=WORD, actor="operator")
        with open_people(database) as people:
            token = people.sign_in(JANE, WORD, client=HOME).token
            suspend_tenant(database, "acme")
            resume_tenant(database, "acme")
            assert people.principal_of(token) is None
            set_user(database, JANE, role="steward", actor="operator")
            assert people.sign_in(JANE, WORD, client=HOME).principal.role == "steward"
