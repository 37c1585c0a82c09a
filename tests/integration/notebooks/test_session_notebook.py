"""`workbench notebook`: an editor of one's own that knows one tenant's login, and ends when it is told to."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import marimo
import polars as pl
import psutil
import pytest

from pipeline.core.tenants import tenant_login
from tests.integration.notebooks.session_world import ROWS, SessionWorld, new_session_world
from tests.integration.promote.world import wait_until
from tests.showcase import Showcase
from workbench.cli.notebook import environment_of
from workbench.session import ConnectionLost, Workbench, starter
from workbench.session.opening import TENANT_ID, TENANT_URL, connect

SECRET = "the secret of all tenants' passwords"
ADDRESS = re.compile(r"http://\S+?:(\d+)\S*access_token=(\S+)")
SECONDS = 90


@pytest.fixture(scope="module")
def world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    with new_session_world(cluster, template, tmp_path_factory.mktemp("extracts") / "mine") as world:
        yield world


@contextmanager
def editing(world: SessionWorld, file: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command with a deployment's settings, and its log; ended afterwards."""
    log = file.with_suffix(".log")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    environment |= {
        "DATABASE_URL": world.database.admin_url,
        "WORKBENCH_SECRET": SECRET,
        "WORKBENCH_HOME": str(file.parent),
        "XDG_CACHE_HOME": str(file.parent / "cache"),
    }
    command = [sys.executable, "-m", "workbench", "notebook", "--tenant", "acme", str(file), "--no-browser"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            wait_until(lambda: ADDRESS.search(log.read_text()) or process.poll() is not None, seconds=SECONDS)
            assert process.poll() is None, log.read_text()
            yield process, log
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "terminated"])
def test_the_editor_has_a_token_and_one_tenants_login_and_ends_with_the_command(
    world: SessionWorld, tmp_path: Path, to_all: bool
) -> None:
    file = tmp_path / "look.py"
    with editing(world, file) as (process, log):
        found = ADDRESS.search(log.read_text())
        assert found is not None
        at = f"http://127.0.0.1:{found[1]}"
        assert httpx.get(f"{at}/api/status", follow_redirects=False).status_code in (303, 401)
        assert httpx.get(at, params={"access_token": found[2]}, follow_redirects=True).status_code == 200
        family = psutil.Process(process.pid).children(recursive=True)
        editor = next(each for each in family if "marimo" in each.cmdline())
        known = editor.environ()
        logins = dataclasses.replace(world.database, secret=SECRET)
        assert known[TENANT_URL] == logins.login_url(tenant_login(world.database, "acme"))
        assert known[TENANT_ID] == "acme"
        assert not [name for name in known if name in ("DATABASE_URL", "WORKBENCH_SECRET", "WORKBENCH_HOME")]
        assert SECRET not in known.values()
        os.killpg(process.pid, signal.SIGINT) if to_all else process.terminate()
        assert process.wait(SECONDS) == 0, log.read_text()
        assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert file.read_text() == Path(starter.__file__).read_text()


def test_a_notebook_that_is_there_is_left_as_it_is(world: SessionWorld, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import marimo\n\napp = marimo.App()\n")
    with editing(world, file):
        assert file.read_text() == "import marimo\n\napp = marimo.App()\n"


def test_the_environment_keeps_what_is_not_ours() -> None:
    given = {"PATH": "/bin", "HOME": "/home/me", "DATABASE_URL": "x", "ANALYST_DATABASE_URL": "x", "PGPASSWORD": "x"}
    given |= {"WORKBENCH_SECRET": "x", "WORKBENCH_WEBHOOK_SECRET": "x", "KAFKA_BOOTSTRAP_SERVERS": "x"}
    assert environment_of("acme", "postgresql://t@/x", given) == {
        "PATH": "/bin",
        "HOME": "/home/me",
        TENANT_URL: "postgresql://t@/x",
        TENANT_ID: "acme",
    }


def test_plain_python_reads_the_tenant_of_its_address(
    world: SessionWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.value(
        "insert into marts.dim_tenants (tenant_id, display_name, events, users, sessions) "
        "values ('acme', 'The acme', 1, 1, 0) returning 1"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(TENANT_URL, world.url("acme"))
    monkeypatch.setenv(TENANT_ID, "acme")
    with Workbench.connect() as wb:
        assert (wb.tenant_id, wb.display_name) == ("acme", "The acme")
        assert wb.table("fct_usage_events").select(pl.len()).collect().item() == ROWS["acme"]
        assert list(tmp_path.glob("workbench/extracts/*/*.parquet"))
    with Workbench.connect(world.url("globex")) as wb:
        assert wb.sql("select count(*) from fct_usage_events").item() == ROWS["globex"]
        assert wb.tenant_id != "acme"
    with pytest.raises(ConnectionLost, match="does not answer"):
        connect("postgresql://nobody@127.0.0.1:1/none", {})


def test_the_starter_passes_marimos_strict_check() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", starter.__file__], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_starter_runs_for_tenants_with_and_without_data(showcase: Showcase) -> None:
    assert isinstance(starter.app, marimo.App)
    for tenant in (showcase.tenants[0], showcase.held, showcase.empty):
        wb = showcase.workbench(tenant)
        _, defined = starter.app.run(defs={"wb": wb})
        assert (
            defined["days"].height == wb.sql("select count(*) from tenant_usage_metrics").item()
            or not wb.freshness().held
        )
        assert defined["events"].collect_schema().names()[0] == "event_id"
