"""Thresholds on the command line: a file is checked, tunes the promotion tenant by tenant, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.integration.cli.test_holds import facts, land

EXAMPLE = Path(__file__).parents[3] / "examples" / "thresholds.yml"
TOLERANT = """
version: 1
tenants:
  globex:
    clock_is_not_ahead:
      seconds: {seconds}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that lets the clock of globex be three days ahead."""
    path = tmp_path / "thresholds.yml"
    path.write_text(TOLERANT.format(seconds=3 * 86_400))
    return path


@pytest.fixture
def tuned(database: Database, home: Path, file: Path) -> CommandLine:
    """The command line with this file in effect."""
    return CommandLine(environment(database, home) | {"WORKBENCH_THRESHOLDS_FILE": str(file)})


def test_a_held_tenant_is_promoted_once_its_threshold_is_tuned_and_the_others_stay_held(
    workbench: CommandLine, tuned: CommandLine, database: Database
) -> None:
    for tenant in ("globex", "initech"):
        workbench.run("tenants", "add", tenant)
        land(database, tenant, good=3, ahead=2)
    assert set(workbench.json("promote", exits=3)["held"]) == {"globex", "initech"}
    # Nothing changed: neither is judged again.
    assert workbench.json("promote")["waiting"] == ["globex", "initech"]

    promotion = tuned.json("promote", exits=3)
    assert promotion["promoted"] == {"globex": 5}
    assert set(promotion["held"]) == {"initech"}
    assert (facts(tuned, "globex"), facts(tuned, "initech")) == (5, 0)
    assert [line["tenant_id"] for line in tuned.json("holds", "list")] == ["initech"]


def test_with_a_bad_file_nothing_is_promoted_and_the_place_is_told(
    workbench: CommandLine, tuned: CommandLine, database: Database, file: Path
) -> None:
    workbench.run("tenants", "add", "globex")
    land(database, "globex", good=3)
    file.write_text(TOLERANT.format(seconds="3 days"))
    refused = tuned.run("promote", exits=1)
    assert "line 6, column 16: seconds is '3 days', not a whole number" in " ".join(refused.stderr.split())
    assert workbench.json("promotions", "list") == []
    assert workbench.json("promote")["promoted"] == {"globex": 3}


def test_a_file_is_checked_and_what_it_changes_is_shown() -> None:
    alone = CommandLine({"DATABASE_URL": None})
    shown = alone.run("thresholds", "check", str(EXAMPLE)).output
    assert "every other tenant" in shown
    assert "fit for use" in shown
    document = alone.json("thresholds", "check", str(EXAMPLE))
    assert document["defaults"]["clock_is_not_ahead"] == {"seconds": 900}
    assert document["tenants"]["acme"]["clock_is_not_behind"] == {"severity": "off"}


def test_a_file_that_tunes_nothing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yml"
    path.write_text("version: 1\n")
    assert "changes nothing" in CommandLine({}).run("thresholds", "check", str(path)).output


def test_the_schema_is_printed_as_one_that_the_example_meets() -> None:
    schema = json.loads(CommandLine({}).run("thresholds", "schema").stdout)
    content = CommandLine({}).json("thresholds", "check", str(EXAMPLE))
    Draft202012Validator(schema).validate({key: content[key] for key in ("version", "defaults", "tenants")})
