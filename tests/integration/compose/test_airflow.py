"""Airflow of compose.yaml: its three processes on PostgreSQL, and the hourly promotion that they run."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.composition import ROOT, a_new_installation, services
from tests.integration.compose.containers import Container, free_port
from tests.integration.compose.servers import Server
from tests.parts import missing

PROGRAMS = ROOT / ".airflow" / "venv" / "bin"
NAMES = [name for name in services() if name.startswith("airflow")]
PATIENCE_SECONDS = 180
# Which of the variables, given as section__option, this release of Airflow has.
KNOWN = """
import json, sys
from airflow.configuration import conf
described = conf.configuration_description
names = [name.removeprefix("AIRFLOW__").lower().split("__", 1) for name in json.load(sys.stdin)]
print(json.dumps([name for name in names if name[1] not in described.get(name[0], {}).get("options", {})]))
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """Airflow's environment, as `make airflow` builds it."""
    if shutil.which("make") is None:
        missing("make is missing, which builds the environment of Airflow.")
    made = subprocess.run(["make", "airflow"], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"`make airflow` failed: {made.stderr}")
    return PROGRAMS


def test_airflow_has_every_option_that_it_is_given(programs: Path, tmp_path: Path) -> None:
    given = sorted({name for it in NAMES for name in services()[it]["environment"] if name.startswith("AIRFLOW__")})
    assert len(given) > 10
    ended = subprocess.run(
        [programs / "python", "-W", "ignore", "-c", KNOWN],
        input=json.dumps(given),
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert json.loads(ended.stdout.splitlines()[-1]) == []


@pytest.fixture
def airflow(primary: Server, folder: Path, programs: Path) -> Iterator[dict[str, Container]]:
    """Its processes, running, on a database that is migrated."""
    postgres = {"postgres:5432": f"127.0.0.1:{primary.port}"}
    Container("migrate", services()["migrate"], folder=folder, places=postgres).run()
    api, health = str(free_port()), str(free_port())
    places = {**postgres, "airflow:8080": f"127.0.0.1:{api}", "8080": api, "8974": health}
    given = {"AIRFLOW__API__PORT": api, "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": health}
    containers = {
        name: Container(name, services()[name], folder=folder, places=places, given=given, path=str(programs))
        for name in NAMES
    }
    containers["airflow-init"].run()
    with ExitStack() as running:
        for name in ("airflow", "airflow-dag-processor", "airflow-scheduler"):
            running.enter_context(containers[name]).start()
        yield containers


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_dag_is_there_and_a_run_of_it_promotes(airflow: dict[str, Container]) -> None:
    base = airflow["airflow"].health_url().partition("/api/")[0]
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
        wrong = http.post("/auth/token", json={"username": "admin", "password": "admin"})
        assert wrong.status_code == 401
        password = a_new_installation()["AIRFLOW_ADMIN_PASSWORD"]
        token = http.post("/auth/token", json={"username": "admin", "password": password}).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        dag = wait_for(http, "/api/v2/dags/dbt_transformation", lambda found: "dag_id" in found, airflow)
        assert dag["is_paused"] is False
        assert http.get("/api/v2/importErrors").json()["total_entries"] == 0
        asked = http.post("/api/v2/dags/dbt_transformation/dagRuns", json={"logical_date": None})
        assert asked.status_code == 200, asked.text
        runs = "/api/v2/dags/dbt_transformation/dagRuns"
        ended = wait_for(http, runs, lambda found: any(ended_run(run) for run in found["dag_runs"]), airflow)
        states = {run["state"] for run in ended["dag_runs"] if ended_run(run)}
        assert states == {"success"}, airflow["airflow-scheduler"].said()


def ended_run(run: dict[str, Any]) -> bool:
    """Whether a run is over."""
    return run["state"] in ("success", "failed")


def wait_for(http: httpx.Client, path: str, condition: Any, airflow: dict[str, Container]) -> Any:
    """What the API answers once it answers so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition(found := http.get(path).json()):
        said = "\n".join(container.said() for name, container in airflow.items() if name != "airflow-init")
        assert time.monotonic() < deadline, f"{path}: {found}\n{said}"
        time.sleep(1)
    return found
