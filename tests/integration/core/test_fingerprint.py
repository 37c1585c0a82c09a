"""Whatever loosens the walls changes the fingerprint; tenants that come and go do not."""

from __future__ import annotations

import pytest

from pipeline.core import fingerprint
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import FingerprintMismatch
from tests.conftest import NewTenant

LOOSENED = [
    "alter table marts.fct_usage_events no force row level security",
    "alter table raw.usage_events disable row level security",
    "create policy mine on marts.dim_users for select to workbench_reader using (true)",
    "alter policy reads_own_tenant on marts.dim_users using (true)",
    "grant select on marts.dim_users to workbench_tenants",
    "grant select (tenant_id) on marts.dim_users to workbench_tenants",
    "grant select on cache.feature_ranking to public",
    "grant usage on schema control to workbench_tenants",
    "alter view analytics.dim_users reset (security_barrier)",
    "alter view analytics.dim_users owner to workbench_owner",
    "create or replace function control.current_tenant() returns text language sql stable as $$ select 'acme' $$",
    "alter function control.current_tenant() reset search_path",
    "alter default privileges for role workbench_owner in schema marts grant select on tables to workbench_tenants",
    "grant execute on function pg_catalog.set_config(text, text, boolean) to public",
    "grant usage on language plpgsql to public",
    "grant temporary on database {database} to public",
    "create index on marts.dim_users (last_seen_at)",
    "create view analytics.everything as select * from marts.dim_users",
    "grant workbench_bi to {login}",
    "alter role {login} bypassrls",
    "create table marts.copied as select * from marts.dim_users",
    "alter table control.tenants disable trigger signs_out",
    "grant select (password_hash) on control.users to workbench_bi",
    "grant workbench_steward to workbench_notebooks",
    "create function analytics.peek() returns bigint language sql security definer as $$ select 1 $$",
]


def test_tenants_come_and_go_without_changing_it(database: Database, new_tenant: NewTenant) -> None:
    with database.connect(ServiceRole.PUBLISHER) as connection:
        before = fingerprint.verify(connection)
        new_tenant("acme")
        assert fingerprint.verify(connection) == before


def test_everything_that_loosens_a_wall_is_told(database: Database, new_tenant: NewTenant) -> None:
    login = new_tenant("acme")
    with database.connect_admin() as connection:
        names = {"database": connection.info.dbname, "login": login}
        for statement in LOOSENED:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.format(**names))
                with pytest.raises(FingerprintMismatch) as caught:
                    fingerprint.verify(connection)
                assert "new:" in caught.value.message or "gone:" in caught.value.message, statement
        fingerprint.verify(connection)
