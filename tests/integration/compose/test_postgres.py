"""The database of compose.yaml: its logins, its standby, and what happens when a copy is interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.composition import a_new_installation, services
from tests.integration.compose.containers import Container, free_port
from tests.integration.compose.servers import Server

PATIENCE_SECONDS = 30
LOGINS = {"airflow": "AIRFLOW_DB_PASSWORD", "metabase": "METABASE_DB_PASSWORD"}


def address(server: Server, login: str, password: str, database: str) -> str:
    """A login's address, over TCP as from another container."""
    return f"postgresql://{login}:{a_new_installation()[password]}@127.0.0.1:{server.port}/{database}"


def admin(server: Server) -> psycopg.Connection:
    """The administrator of our own database."""
    return psycopg.connect(address(server, "postgres", "POSTGRES_PASSWORD", "analytics"), autocommit=True)


@pytest.fixture
def standby(primary: Server, folder: Path) -> Iterator[Server]:
    """The service `standby`, ready to be started."""
    service = services("standby")["standby"]
    where = {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(primary.port)}
    service = {**service, "environment": service["environment"] | where}
    with Server("standby", service, folder=folder, port=free_port()) as server:
        yield server


@pytest.mark.parametrize("login", LOGINS)
def test_a_tool_of_the_stack_owns_its_database_and_can_reach_no_other(primary: Server, login: str) -> None:
    with psycopg.connect(address(primary, login, LOGINS[login], login)) as connection:
        connection.execute("create table public.its_own ()")
    for other in {*LOGINS, "postgres", "template1"} - {login}:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(address(primary, login, LOGINS[login], other))


def test_nobody_gets_in_with_another_password(primary: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address(primary, "postgres", "WORKBENCH_SECRET", "analytics"))


def test_texts_are_ordered_by_their_bytes_whatever_the_system_is(primary: Server) -> None:
    with admin(primary) as connection:
        found = connection.execute("select datcollate, pg_encoding_to_char(encoding) from pg_database").fetchall()
    assert set(found) == {("C", "UTF8")}


def test_a_standby_that_is_not_there_keeps_no_log_back(primary: Server) -> None:
    with admin(primary) as connection:
        assert connection.execute("select slot_name, restart_lsn from pg_replication_slots").fetchall() == [
            ("standby", None)
        ]


def test_migrations_run_on_it_and_change_nothing_the_second_time(primary: Server, folder: Path) -> None:
    places = {"postgres:5432": f"127.0.0.1:{primary.port}"}
    migrate = Container("migrate", services()["migrate"], folder=folder, places=places)
    assert migrate.run().partition("fingerprint")[2] == migrate.run().partition("fingerprint")[2] != ""


def test_a_standby_copies_the_primary_follows_it_and_goes_on_after_a_restart(
    primary: Server, standby: Server, folder: Path
) -> None:
    left = folder / "volumes" / "standby" / "18" / "docker.partial" / "base"
    standby.run("mkdir", "-p", str(left))
    with admin(primary) as connection:
        connection.execute("create table public.followed (seen int)")
        standby.start()
        assert not left.exists(), "what an interrupted copy has left is not built upon"
        for number in (1, 2):
            connection.execute("insert into public.followed values (%s)", (number,))
            wait_for_rows(standby, number)
            if number == 1:
                standby.stop()
                standby.start()
        with admin(standby) as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("insert into public.followed values (3)")


def wait_for_rows(standby: Server, number: int) -> None:
    """Return when the standby shows so many rows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with admin(standby) as reader:
        while reader.execute("select count(*) from public.followed").fetchone() != (number,):
            assert time.monotonic() < deadline, standby.said()
            time.sleep(0.05)
