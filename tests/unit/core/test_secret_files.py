"""Secrets out of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.secret_files import SECRETS, with_secret_files
from pipeline.core.settings import Settings

SECRET = "s" * 32


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file as `echo` writes it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_is_read_from_the_file_that_its_name_with_file_tells(name: str, secret_file: Path) -> None:
    assert with_secret_files({f"{name}_FILE": str(secret_file), "PATH": "/bin"}) == {name: SECRET, "PATH": "/bin"}


def test_settings_know_secrets_in_files_and_still_refuse_other_names(secret_file: Path) -> None:
    given = {"DATABASE_URL": "postgresql://a@h/d", "WORKBENCH_SECRET_FILE": str(secret_file)}
    assert Settings.from_environment(given).secret == SECRET
    with pytest.raises(SettingsError, match="WORKBENCH_PORT_FILE"):
        Settings.from_environment({"WORKBENCH_PORT_FILE": str(secret_file)})


def test_settings_that_are_files_themselves_stay_what_they_are() -> None:
    assert with_secret_files({"WORKBENCH_THRESHOLDS_FILE": "t.yml"}) == {"WORKBENCH_THRESHOLDS_FILE": "t.yml"}


def test_an_empty_name_of_a_file_is_none() -> None:
    assert with_secret_files({"WORKBENCH_SECRET": SECRET, "WORKBENCH_SECRET_FILE": ""}) == {"WORKBENCH_SECRET": SECRET}


def test_a_secret_that_is_given_twice_is_refused_and_not_repeated(secret_file: Path) -> None:
    with pytest.raises(SettingsError, match="both set") as caught:
        with_secret_files({"WORKBENCH_SECRET": SECRET, "WORKBENCH_SECRET_FILE": str(secret_file)})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"", "empty"), (b"\xff\xfe", "no text")])
def test_a_file_without_a_secret_is_refused_by_its_name(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=told) as caught:
        with_secret_files({"DATABASE_URL_FILE": str(file)})
    assert str(file) in str(caught.value)
