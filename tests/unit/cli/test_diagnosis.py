"""The doctor's checks of a machine, each in sickness and in health."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.embedded import SOCKET_NAME
from pipeline.core.errors import DatabaseUnavailable
from workbench.diagnosis import Check, State, guarded, machine
from workbench.diagnosis.server import release


@pytest.mark.parametrize(("version", "state"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "fail")])
def test_python_must_be_a_supported_version(version: tuple[int, int], state: str) -> None:
    assert machine.python(version).state == state


def test_a_missing_library_is_named() -> None:
    assert machine.packages().state == State.OK
    missing = machine.packages(("dbt-core", "no-such-library"))
    assert missing.state == State.FAIL
    assert "no-such-library is not installed" in missing.detail


@pytest.mark.parametrize(("free", "state"), [(0, "fail"), (2, "warn"), (50, "ok")])
def test_disk_space_is_judged(free: int, state: str) -> None:
    assert machine.judge_disk(free * machine.GIB, Path("/data")).state == state


def test_a_folder_without_the_dbt_project_is_told(tmp_path: Path) -> None:
    assert machine.dbt_project(tmp_path).state == State.FAIL


@pytest.mark.parametrize(
    ("folder_mode", "mode", "state"), [(0o700, 0o777, "ok"), (0o755, 0o700, "ok"), (0o755, 0o777, "fail")]
)
def test_the_embedded_socket_must_be_its_owners_alone(tmp_path: Path, folder_mode: int, mode: int, state: str) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / SOCKET_NAME).touch()
    (folder / SOCKET_NAME).chmod(mode)
    folder.chmod(folder_mode)
    assert machine.socket(f"postgresql://postgres@/workbench?host={folder}").state == state


@pytest.mark.parametrize(
    ("version", "state"),
    [
        (140023, "fail"),
        (150018, "warn"),
        (150020, "ok"),
        (160014, "warn"),
        (180004, "warn"),
        (180006, "ok"),
        (190000, "ok"),
    ],
)
def test_the_server_must_be_recent(version: int, state: str) -> None:
    found = release(version)
    assert found.state == state
    assert bool(found.remedy) == (state != "ok")


def test_a_check_that_cannot_be_made_has_failed() -> None:
    def check() -> Check:
        raise DatabaseUnavailable("It is gone.", remedy="Start it.")

    assert guarded("roles", check) == Check(name="roles", state=State.FAIL, detail="It is gone.", remedy="Start it.")
