"""Airflow in its own environment, with a workbench that it calls and a database of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.integration.schedule.airflow.installation import ROOT, Airflow, metadata
from tests.parts import missing

SECRET = "the DAG's integration tests, thirty-two characters"
WORKBENCH = Path(sys.executable).with_name("workbench")


@pytest.fixture(scope="session")
def empty_metadata() -> Path:
    """Of an Airflow without runs, after its environment was built by `make airflow`."""
    if shutil.which("make") is None:
        missing("make is missing, which builds the environment of Airflow.")
    made = subprocess.run(["make", "airflow"], cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"`make airflow` failed: {made.stderr}")
    return metadata()


@pytest.fixture(scope="module")
def workbench_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbench's home, in which dbt's parsed project is kept from run to run."""
    return tmp_path_factory.mktemp("workbench")


@pytest.fixture
def env_file(database: Database, workbench_home: Path, tmp_path: Path) -> Path:
    """The workbench's settings, as the DAG hands them on."""
    file = tmp_path / "workbench.env"
    file.write_text(
        "# Settings of the workbench\n"
        f"DATABASE_URL={database.admin_url}\n"
        f"WORKBENCH_SECRET={SECRET}\n\n"
        f"WORKBENCH_HOME={workbench_home}\n"
        "WORKBENCH_NOTEBOOKS_PUBLIC_URL=https://notebooks.example.com\n"
    )
    return file


@pytest.fixture
def airflow(empty_metadata: Path, env_file: Path, tmp_path: Path) -> Airflow:
    """An Airflow of this test alone that knows where the workbench is."""
    home = tmp_path / "airflow"
    home.mkdir()
    shutil.copy(empty_metadata, home / "airflow.db")
    return Airflow(home=home, variables={"workbench_command": str(WORKBENCH), "workbench_env_file": str(env_file)})
