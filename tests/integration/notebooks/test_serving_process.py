"""`workbench notebooks` as a process: real people, a real database, the notebooks that we ship, and its end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pipeline.core.database import Database
from pipeline.core.tenants import add_tenant, suspend_tenant
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.integration.cli.stack_process import eventually
from tests.integration.notebooks.attacks import connected, heard, must_hear, new_id
from tests.integration.notebooks.served import Target
from tests.integration.notebooks.test_guard import closing
from workbench.people.register import add_user

PASSWORD = "correct horse battery staple"
WORKBENCH = (sys.executable, "-m", "workbench")


@pytest.fixture
def people(database: Database) -> Database:
    """A database with two tenants, an analyst of each, a steward and an admin."""
    for tenant_id in ("acme", "globex"):
        add_tenant(database, tenant_id, display_name=tenant_id.title())
        add_user(
            database, f"ana@{tenant_id}.example", role="analyst", tenant_id=tenant_id, password=PASSWORD, actor="test"
        )
    for role in ("steward", "admin"):
        add_user(database, f"{role}@example.com", role=role, password=PASSWORD, actor="test")
    return database


class Served:
    """The process, and where it is."""

    def __init__(self, process: subprocess.Popen[str], url: str, metrics: str) -> None:
        self.process = process
        self.url = url
        self.metrics = metrics

    @contextmanager
    def sign_in(self, email: str) -> Iterator[httpx.Client]:
        """A browser of somebody."""
        headers = {"origin": self.url, "accept": "text/html"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60) as browser:
            self._enter(browser, email)
            yield browser

    def _enter(self, browser: httpx.Client, email: str) -> None:
        form = re.search(r'name="form" value="([^"]+)"', browser.get("/sign-in").text)
        assert form is not None
        entered = browser.post("/sign-in", data={"form": form[1], "email": email, "password": PASSWORD})
        assert entered.status_code == 303, entered.text

    def target(self, browser: httpx.Client) -> Target:
        """The server, for one who is signed in."""
        cookie = f"workbench_sign_in={browser.cookies['workbench_sign_in']}"
        return Target(url=self.url, credentials=lambda _who: {"cookie": cookie})


@contextmanager
def served(database: Database, home: Path, free_port: int) -> Iterator[Served]:
    """The process while the block runs; ended by force if it still runs then."""
    given = {name: value for name, value in environment(database, home).items() if value is not None}
    given |= {"WORKBENCH_NOTEBOOKS_METRICS_PORT": str(free_port), "PATH": "/usr/bin:/bin"}
    command = (*WORKBENCH, "notebooks", "--port", "0")
    log = home / "notebooks.log"
    with log.open("w") as errors, subprocess.Popen(command, env=given, stderr=errors, text=True) as process:
        try:
            yield Served(process, _told(process, log), f"http://127.0.0.1:{free_port}/metrics")
        finally:
            process.kill()


def _told(process: subprocess.Popen[str], log: Path) -> str:
    def told() -> bool:
        return "notebooks at " in log.read_text() or process.poll() is not None

    eventually(told, "the notebook server")
    found = re.search(r"notebooks at (\S+)", log.read_text())
    assert found is not None, log.read_text()
    return found[1]


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_people_of_two_tenants_a_steward_and_an_admin_are_served(
    people: Database, tmp_path: Path, free_port: int
) -> None:
    with served(people, tmp_path, free_port) as server:
        with server.sign_in("ana@acme.example") as ana, server.sign_in("ana@globex.example") as other:
            home = ana.get("/").text
            assert "Acme" in home
            assert "Globex" not in home
            assert "Nothing is published yet" in home
            target = server.target(ana)
            with connected(target, "overview", "ana", new_id()) as line:
                assert "Acme" in must_hear(line, "Waiting for the first events")
                with connected(server.target(other), "overview", "other", new_id()) as foreign:
                    assert "Globex" in must_hear(foreign, "Waiting for the first events")
                    suspend_tenant(people, "acme")
                    assert closing(line) == 1008
                    assert heard(foreign, "anything", 0.2) is None
                    assert foreign.close_code is None
            assert ana.get("/").headers["location"] == "/sign-in"
        with server.sign_in("steward@example.com") as steward:
            assert "/notebooks/quality/" in steward.get("/").text
            assert steward.get("/notebooks/overview/?tenant=globex").status_code == 403
        with server.sign_in("admin@example.com") as admin:
            assert "Globex" in admin.get("/?tenant=globex").text
            assert admin.get("/?tenant=acme").status_code == 404
        metrics = httpx.get(server.metrics).text
        assert 'workbench_notebooks_sign_ins_total{outcome="accepted"} 4.0' in metrics
        assert 'workbench_notebooks_ended_total{why="sign-in ended"} 1.0' in metrics
        assert "acme" not in metrics


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_and_tells_the_browsers(
    people: Database, tmp_path: Path, free_port: int, number: signal.Signals
) -> None:
    with served(people, tmp_path, free_port) as server:
        with (
            server.sign_in("ana@acme.example") as ana,
            connected(server.target(ana), "overview", "ana", new_id()) as line,
        ):
            must_hear(line, "Waiting for the first events")
            server.process.send_signal(number)
            assert closing(line) in (1001, 1008, 1012)
        assert server.process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "notebooks.log").read_text()


def test_what_cannot_be_served_is_told_with_a_remedy(people: Database, tmp_path: Path) -> None:
    line = CommandLine(environment(people, tmp_path))
    said = line.run("notebooks", "--host", "0.0.0.0", exits=1).stderr
    assert "public address is not set" in said
    assert "WORKBENCH_NOTEBOOKS_PUBLIC_URL" in said
