"""What the machine lacks is named, with the way to get it; tests skip for it, or fail on demand."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.requirements import PartMissing, find_java, find_maven
from tests.parts import missing


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The one folder of commands of a machine that has none."""
    for home in ("JAVA_HOME", "MAVEN_HOME"):
        monkeypatch.delenv(home, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("machine")
def test_what_is_missing_is_told_with_its_package() -> None:
    with pytest.raises(PartMissing, match=r"Java 17 or newer is missing.*openjdk-17-jre-headless"):
        find_java()
    with pytest.raises(PartMissing, match=r"Maven is missing.*apt-get install maven"):
        find_maven()


@pytest.mark.parametrize(("told", "release"), [('openjdk version "11.0.2"', 11), ('java version "1.8.0_401"', 8)])
def test_java_that_is_too_old_is_told_by_its_release(machine: Path, told: str, release: int) -> None:
    java = machine / "java"
    java.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
    java.chmod(0o755)
    with pytest.raises(PartMissing, match=f"is Java {release}"):
        find_java()


def test_missing_parts_skip_a_test_or_fail_it_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_REAL_PARTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Java"):
        missing("no Java")
    monkeypatch.setenv("REQUIRE_REAL_PARTS", "1")
    with pytest.raises(pytest.fail.Exception, match="no Java"):
        missing("no Java")
