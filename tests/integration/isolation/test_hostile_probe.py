"""A tenant may set defaults of its own login, so what it sets must not decide who else is promoted."""

from __future__ import annotations

import pytest

from checks.leaks import LeakProbe
from pipeline.core.database import Database
from tests.integration.isolation.conftest import Tenant

SET_BY_ITSELF = (
    "row_security = off",
    "statement_timeout = '1ms'",
    "transaction_timeout = '1ms'",
    "idle_session_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "search_path = pg_temp",
    "default_transaction_isolation = 'serializable'",
    "client_encoding = 'SQL_ASCII'",
    "datestyle = 'SQL, DMY'",
    "timezone = 'Pacific/Auckland'",
    "intervalstyle = 'iso_8601'",
    "extra_float_digits = -15",
    "role = 'workbench_tenants'",
)


@pytest.mark.parametrize("setting", SET_BY_ITSELF)
def test_what_a_tenant_sets_for_itself_is_no_leak(
    attackers: tuple[Tenant, Tenant], database: Database, setting: str
) -> None:
    with attackers[0].connect() as session:
        session.execute(f"alter role current_user set {setting}".encode())
    for _ in range(3):
        assert LeakProbe(database)() == []


def test_a_tenant_that_keeps_its_own_session_from_being_probed_hides_no_leak(
    attackers: tuple[Tenant, Tenant], database: Database
) -> None:
    with attackers[0].connect() as session:
        session.execute("alter role current_user set row_security = off")
    with database.connect_admin() as admin:
        admin.execute("grant usage on schema marts to workbench_tenants; grant select on marts.dim_users to public")
    reasons = [error.reason for error in LeakProbe(database)()]
    assert "the login of globex may read marts.dim_users itself" in reasons
