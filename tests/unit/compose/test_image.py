"""The Dockerfile: what goes into the image, and as whom it runs."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

from tests.composition import ROOT
from tests.dockerfile import in_context, lineage, read_stages, setting, variables, words

STAGES = read_stages()
IMAGES = ("workbench", "airflow")
CODE = ("api", "checks", "dbt", "pipeline", "workbench")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def copied() -> set[str]:
    """What the stages take from this folder."""
    steps = [value.split() for stage in STAGES.values() for kind, value in stage.steps if kind == "COPY"]
    return {source for each in steps if not each[0].startswith("--from") for source in each[:-1]}


def files(source: str) -> set[str]:
    """The files of a folder, or the file itself, that .dockerignore lets through."""
    found = [path for path in (ROOT / source, *(ROOT / source).rglob("*")) if path.is_file()]
    return {path for path in (str(each.relative_to(ROOT)) for each in found) if in_context(path)}


def test_everything_that_is_copied_is_there_and_let_in() -> None:
    for source in copied():
        assert files(source), source


def test_all_of_our_code_and_models_are_let_in_and_what_they_leave_behind_is_not() -> None:
    everything = {str(path.relative_to(ROOT)) for name in CODE for path in (ROOT / name).rglob("*") if path.is_file()}
    left = {path for path in everything if re.search(r"__pycache__/|^dbt/(target|logs|\.user\.yml)", path)}
    assert {path for source in CODE for path in files(source)} == everything - left


@pytest.mark.parametrize("path", [".env", "workbench.env", ".git/config", "tests/conftest.py", ".venv/bin/python"])
def test_secrets_and_what_is_of_no_use_in_the_image_stay_out(path: str) -> None:
    assert not in_context(path)


def test_the_code_that_is_copied_is_the_code_that_is_installed() -> None:
    included = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert included | {"dbt"} <= copied()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_special(image: str) -> None:
    user = setting(STAGES, image, "USER")
    assert user is not None
    assert int(user.split(":")[0]) >= 1000


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_no_secret_and_no_address_of_a_server(image: str) -> None:
    assert set(variables(STAGES, image)) == {"PATH", "PYTHONUNBUFFERED", "WORKBENCH_HOME"}


def test_python_is_pinned_and_of_a_release_that_the_project_supports() -> None:
    pinned = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", lineage(STAGES, "workbench")[0].base)
    assert pinned is not None
    assert pinned[1] in SpecifierSet(PROJECT["project"]["requires-python"])


def test_the_image_is_the_command_itself() -> None:
    assert (words(STAGES, "workbench", "ENTRYPOINT"), words(STAGES, "workbench", "CMD")) == (["workbench"], ["--help"])


def test_whatever_is_installed_has_its_hash_checked_and_nothing_is_compiled() -> None:
    steps = [value for stage in STAGES.values() for kind, value in stage.steps if kind == "RUN"]
    installs = re.findall(r"(?:pip install|pip sync) [^&]*", " && ".join(steps))
    assert len(installs) == 4
    assert all(re.search(r"--require(-build)?-hashes", command) for command in installs)
    # The first brings uv itself, the one that is editable is our own.
    assert [("--no-build" in command, "--editable" in command) for command in installs] == [
        (False, False),
        (True, False),
        (False, True),
        (True, False),
    ]
