"""Addresses: one per role, with derived passwords that no log line shows."""

from __future__ import annotations

import pytest

from pipeline.core.database import (
    Database,
    ServiceRole,
    database_name,
    sqlalchemy_url,
    with_database,
    without_password,
)

SOCKET = "postgresql://postgres@/workbench?host=/run/x"
SERVER = "postgresql://admin:p%40ss@db.internal:5433/analytics?sslmode=require"


def test_without_a_secret_roles_log_in_without_password() -> None:
    url = Database(admin_url=SOCKET).url(ServiceRole.API)
    assert url == "postgresql://workbench_api@/workbench?host=/run/x"


def test_with_a_secret_every_login_has_its_own_password() -> None:
    database = Database(admin_url=SERVER, secret="s" * 32)
    api, lander = database.password("workbench_api"), database.password("workbench_lander")
    assert api is not None
    assert api != lander
    assert database.url(ServiceRole.API) == (
        f"postgresql://workbench_api:{api}@db.internal:5433/analytics?sslmode=require"
    )
    assert Database(admin_url=SERVER, secret="t" * 32).password("workbench_api") != api


def test_a_tenant_reads_on_the_standby_if_there_is_one_and_nobody_else_does() -> None:
    database = Database(admin_url=SERVER, secret="s" * 32)
    password = database.password("t_1")
    assert database.reading_url("t_1") == database.login_url("t_1")
    standby = Database(admin_url=SERVER, secret="s" * 32, analyst_url="postgresql://admin:b@standby/analytics")
    assert standby.reading_url("t_1") == f"postgresql://t_1:{password}@standby/analytics"
    assert standby.url(ServiceRole.API) == database.url(ServiceRole.API)


def test_a_login_may_have_an_address_of_its_own() -> None:
    database = Database(admin_url=SERVER, secret="s" * 32, overrides={"workbench_bi": "postgresql://bi@standby/a"})
    assert database.url(ServiceRole.BI) == "postgresql://bi@standby/a"


@pytest.mark.parametrize(("url", "name"), [(SOCKET, "workbench"), (SERVER, "analytics")])
def test_the_database_of_an_address_can_be_read_and_changed(url: str, name: str) -> None:
    assert database_name(url) == name
    assert database_name(with_database(url, "other")) == "other"
    assert with_database(with_database(url, "other"), name) == url


def test_an_address_for_great_expectations_has_a_host() -> None:
    assert sqlalchemy_url(SOCKET, "psycopg2") == ("postgresql+psycopg2://postgres@localhost/workbench?host=/run/x")


def test_passwords_are_neither_logged_nor_printed() -> None:
    assert "p%40ss" not in without_password(SERVER)
    assert "p%40ss" not in repr(Database(admin_url=SERVER, secret="s" * 32))
