"""The report of a promotion that really took place: what promotions write is what the report reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.integration.cli.test_holds import land


@pytest.fixture
def workbench(database: Database, tmp_path: Path) -> CommandLine:
    """The command line on an empty database."""
    return CommandLine(environment(database, tmp_path / "home"))


@pytest.mark.long
def test_a_held_tenant_is_reported_and_its_decision_too(workbench: CommandLine, database: Database) -> None:
    for tenant in ("acme", "globex"):
        workbench.run("tenants", "add", tenant)
    land(database, "acme", good=3)
    land(database, "globex", good=3, ahead=2)
    first = workbench.json("promote", exits=3)["id"]
    report = workbench.json("quality", "report")
    globex, acme = report["tenants"]
    assert (report["promotion"]["promotion_id"], globex["tenant_id"], acme["promoted"]) == (first, "globex", True)
    assert (globex["events"], globex["verdict"], globex["checked_rows"]["fct_usage_events"]) == (5, "failed", 5)
    [stopping] = [finding for finding in globex["findings"] if finding["severity"] == "stop"]
    assert (stopping["rule"], stopping["failing_rows"], len(stopping["samples"])) == ("clock_is_not_ahead", 2, 2)
    assert stopping["why"]
    assert {"mart": "fct_usage_events", "inserted": 5, "updated": 0, "deleted": 0} in globex["changes"]
    assert [hold["state"] for hold in globex["holds"]] == ["open"]
    assert {check["outcome"] for check in report["checks"] if check["rule"] == "clock_is_not_ahead"} == {"failed"}

    workbench.run("holds", "release", "globex", "--reason", "A test bench.")
    released = workbench.json("quality", "report")
    assert [(tenant["tenant_id"], tenant["verdict"]) for tenant in released["tenants"]] == [("globex", "released")]
    assert [point["failed"] for point in released["trend"]] == [1, 0]
    [decision] = released["tenants"][0]["decisions"]
    assert (decision["action"], decision["reason"]) == ("release hold", "A test bench.")
    before = workbench.json("quality", "report", "--promotion", str(first))
    assert [hold["state"] for hold in before["tenants"][0]["holds"]] == ["released"]

    workbench.run("rollback", str(released["promotion"]["promotion_id"]), "--reason", "Not that one.", "--yes")
    undone = workbench.run("quality", "report").stdout
    assert "rolled_back" in undone
    assert "held since" in undone
