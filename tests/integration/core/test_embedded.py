"""The embedded server recovers by itself, and ends with its last user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipeline.core.database import with_database
from pipeline.core.embedded import EmbeddedPostgres

HOLDER = """
import sys
from pathlib import Path
from pipeline.core.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print("started", flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path)
    yield server
    server.start()
    server.stop()
    assert server.process() is None


def answer(server: EmbeddedPostgres) -> int:
    with psycopg.connect(with_database(server.admin_url, "postgres"), connect_timeout=5) as connection:
        row = connection.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def keep_a_row(server: EmbeddedPostgres) -> None:
    with psycopg.connect(with_database(server.admin_url, "postgres")) as connection:
        connection.execute("create table if not exists kept (n int)")
        connection.execute("insert into kept values (1)")


def kill(server: EmbeddedPostgres) -> None:
    process = server.process()
    assert process is not None
    process.kill()
    process.wait(10)


def test_committed_rows_survive_a_kill_of_the_server(server: EmbeddedPostgres) -> None:
    with server:
        keep_a_row(server)
        kill(server)
        assert server.process() is None
        server.ensure_running()
        assert answer(server) == 1


def test_a_pid_file_that_names_somebody_else_does_not_stop_a_start(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with server:
        keep_a_row(server)
        kill(server)
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    with server:
        assert answer(server) == 1


def test_the_last_user_stops_the_server_even_if_another_was_killed(server: EmbeddedPostgres, tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "started\n"
    server.start()
    keep_a_row(server)
    server.stop()
    assert server.process() is not None, "the other process still uses it"
    other.kill()
    other.communicate()
    with server:
        assert answer(server) == 1
    assert server.process() is None


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("long" * 30))
    with server:
        keep_a_row(server)
        assert answer(server) == 1


def test_only_the_owner_may_open_the_socket(server: EmbeddedPostgres) -> None:
    with server:
        folder = Path(server.admin_url.partition("host=")[2])
        assert (folder / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0
