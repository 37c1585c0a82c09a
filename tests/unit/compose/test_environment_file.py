"""The .env file: what it asks for, and how `make up` writes it."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

from cryptography.fernet import Fernet

from tests.composition import ROOT, a_new_installation, compose

EXAMPLE = (ROOT / ".env.example").read_text()
SECRETS = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)
ENOUGH_BITS = re.compile(r"[0-9a-f]{64}|[\w-]{43}=")


def write(target: Path) -> subprocess.CompletedProcess[str]:
    """Write it as `make up` does."""
    command = ["sh", str(ROOT / "docker" / "new-env.sh"), str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_the_example_holds_no_secret_and_names_every_setting_of_the_compose_file() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)) - {"COMPOSE_PROFILES"}
    table = compose("config", "--variables", settings=a_new_installation()).stdout.splitlines()[1:]
    read = {line.split()[0]: line.split()[1] for line in table}
    assert named == set(read)
    given = re.findall(r"^([A-Z_]+)=.", EXAMPLE, re.MULTILINE)
    assert {name for name, required in read.items() if required == "true"} == {*SECRETS, *given}


def test_each_secret_is_drawn_anew_and_is_long_enough(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        assert write(tmp_path / name).returncode == 0
        written.append(dict(re.findall(r"^([A-Z_]+)=(.*)$", (tmp_path / name).read_text(), re.MULTILINE)))
    drawn = [values[name] for values in written for name in SECRETS]
    assert len(set(drawn)) == len(drawn)
    assert all(ENOUGH_BITS.fullmatch(secret) for secret in drawn)
    Fernet(written[0]["AIRFLOW_FERNET_KEY"])


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write(tmp_path / "env")
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("WORKBENCH_SECRET=mine\n")
    ended = write(tmp_path / "env")
    assert ended.returncode == 1
    assert "stays as it is" in ended.stderr
    assert (tmp_path / "env").read_text() == "WORKBENCH_SECRET=mine\n"


def test_it_stays_out_of_the_repository_and_of_the_image() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "workbench.env"} <= set(ignored)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
