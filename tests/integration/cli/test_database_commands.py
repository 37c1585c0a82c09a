"""`workbench db` and `workbench doctor`."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pipeline.core.database import Database, connect
from tests.command_line import CommandLine


def states(document: list[dict[str, str]]) -> dict[str, str]:
    """State by check."""
    return {check["name"]: check["state"] for check in document}


@pytest.fixture
def deployed(workbench: CommandLine) -> CommandLine:
    """A database whose every grant is as deployed, those on the database itself included."""
    workbench.run("db", "migrate")
    return workbench


def test_each_address_opens_the_database_as_whom_it_names(workbench: CommandLine, database: Database) -> None:
    workbench.run("tenants", "add", "acme")
    assert workbench.run("db", "url").stdout.strip() == database.admin_url
    for words, login in (
        (("--role", "steward"), "workbench_steward"),
        (("--role", "lander"), "workbench_lander"),
        (("--tenant", "acme"), "t_"),
    ):
        url = workbench.run("db", "url", *words).stdout.strip()
        with connect(url, application="tests") as connection:
            row = connection.execute("select session_user").fetchone()
        assert row is not None
        assert row[0].startswith(login)


def test_migrating_again_changes_nothing(workbench: CommandLine, database: Database) -> None:
    first = workbench.json("db", "migrate")
    assert workbench.json("db", "migrate") == first
    with database.connect_admin() as connection:
        assert connection.execute("select count(*) from control.releases").fetchone() == (1,)


def test_a_database_of_another_release_is_refused_until_it_is_migrated(
    workbench: CommandLine, database: Database
) -> None:
    with database.connect_admin() as connection:
        connection.execute("drop table control.alembic_version")
    refused = workbench.run("tenants", "list", exits=1)
    assert "Remedy: Run `workbench db migrate`." in refused.stderr
    assert states(workbench.json("doctor", exits=1))["revision"] == "fail"


def test_a_healthy_database_has_nothing_but_ok_and_perhaps_an_old_server(deployed: CommandLine) -> None:
    found = states(deployed.json("doctor"))
    assert found.pop("server") in ("ok", "warn")
    found.pop("disk", None)
    assert set(found.values()) == {"ok"}, found
    assert {"python", "packages", "dbt project", "settings", "revision", "roles", "fingerprint", "logins"} <= set(found)


def test_the_doctor_finds_what_endangers_isolation(deployed: CommandLine, database: Database) -> None:
    users = "alter table marts.dim_users"
    set_config = "execute on function pg_catalog.set_config(text, text, boolean)"
    for damage, repair, check, state in (
        (
            "grant select on raw.usage_events to public",
            "revoke all on raw.usage_events from public",
            "fingerprint",
            "fail",
        ),
        (f"{users} disable row level security", f"{users} enable row level security", "fingerprint", "fail"),
        (f"{users} no force row level security", f"{users} force row level security", "fingerprint", "fail"),
        (f"grant {set_config} to public", f"revoke {set_config} from public", "open to tenants", "warn"),
    ):
        with database.connect_admin() as connection:
            connection.execute(damage.encode())
        document = deployed.json("doctor", exits=1)
        assert states(document)[check] == state, damage
        assert all(line["remedy"] for line in document if line["state"] != "ok")
        with database.connect_admin() as connection:
            connection.execute(repair.encode())
    deployed.run("doctor")


def test_the_doctor_finds_a_login_that_may_go_around_the_policies(workbench: CommandLine, database: Database) -> None:
    workbench.run("tenants", "add", "acme")
    url = workbench.run("db", "url", "--tenant", "acme").stdout
    login = psycopg.conninfo.conninfo_to_dict(url.strip())["user"]
    with database.connect_admin(autocommit=True) as connection:
        connection.execute(f"alter role {login} bypassrls".encode())
        try:
            printed = workbench.run("doctor", exits=1).stdout
        finally:
            # Roles are the cluster's, and outlive this test's database.
            connection.execute(f"alter role {login} nobypassrls".encode())
    assert f"with attributes that go around row security: {login}" in printed


def test_a_server_that_does_not_answer_is_told_by_every_command(tmp_path: Path) -> None:
    away = f"postgresql://admin:hidden@/workbench?host={tmp_path}"
    lost = CommandLine({"DATABASE_URL": away, "WORKBENCH_SECRET": "s" * 32, "WORKBENCH_HOME": str(tmp_path)})
    for words in (["tenants", "list"], ["status"], ["db", "migrate"], ["sql", "--tenant", "acme", "select 1"]):
        told = lost.run(*words, exits=75).stderr
        assert "PostgreSQL does not answer" in told
        assert "hidden" not in told
    assert states(lost.json("doctor", exits=1))["database"] == "fail"


def test_the_embedded_database_is_made_by_the_first_command_that_needs_it(tmp_path: Path) -> None:
    embedded = CommandLine({"DATABASE_URL": None, "WORKBENCH_SECRET": None, "WORKBENCH_HOME": str(tmp_path)})
    assert "not created yet" in embedded.run("doctor").stdout
    assert not (tmp_path / "postgres").exists()
    embedded.run("tenants", "add", "acme")
    assert embedded.json("sql", "--tenant", "acme", "select count(*) from dim_users")["rows"] == [[0]]
    found = states(embedded.json("doctor"))
    assert found["socket"] == found["fingerprint"] == found["logins"] == "ok"
