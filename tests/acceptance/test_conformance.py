"""The conformance kit tells ways of publishing apart: what each keeps and breaks, in short runs of the kit."""

from __future__ import annotations

import pytest

from conformance.kit import run
from conformance.scenario import Effort
from conformance.scenarios import SCENARIOS
from conformance.stand import Stand, deployed
from conformance.subjects import SUBJECTS
from conformance.table import Report, markdown
from pipeline.core.database import with_database

pytestmark = pytest.mark.long

LITTLE = Effort(publications=2, sessions=5, patience_seconds=0.5, sizes=(1_000, 16_000), delta=1_000)


@pytest.fixture(scope="module")
def stand(cluster: str) -> Stand:
    """A stand on the server of the tests."""
    return deployed(with_database(cluster, "postgres"))


def verdicts(stand: Stand, subject: str, *scenarios: str) -> Report:
    """A run of some scenarios on one subject, in each of which every promise got a verdict."""
    chosen = [each for each in SCENARIOS if each.name in scenarios]
    assert len(chosen) == len(scenarios)
    report = run(stand, {subject: SUBJECTS[subject]}, chosen, LITTLE)
    assert all(row.holds is not None for row in report.rows), [row for row in report.rows if row.holds is None]
    return report


def broken(report: Report) -> set[str]:
    """The promises that were broken."""
    return {row.promise for row in report.rows if not row.holds}


def test_the_workbench_keeps_its_promises(stand: Stand) -> None:
    """Those that need no long run; the rest is tested where it is built."""
    report = verdicts(stand, "workbench", "bad rows", "killed")
    assert not broken(report), [row for row in report.rows if not row.holds]


def test_a_dbt_build_publishes_before_it_tests_and_loses_row_security(stand: Stand) -> None:
    assert broken(verdicts(stand, "dbt build", "snapshot", "security", "bad rows", "killed")) == {
        "A snapshot from before a publication keeps its rows",
        "Row security and its policies stay",
        "Grants and view options stay",
        "A tenant sees its own rows, all of them and no others",
        "Relations stay the same ones (OID), and views on them work",
        "Bad rows of one tenant are not published",
        "All other tenants go through, whole",
        "Killed half-way: readers keep the last state",
    }


def test_a_rename_swap_checks_first_but_waits_and_stalls_and_empties_old_snapshots(stand: Stand) -> None:
    names = ("readers", "snapshot", "open reader", "security", "bad rows", "blinded", "killed", "undone")
    report = verdicts(stand, "rename swap", *names)
    assert broken(report) - {"No reader meets an empty table or an error"} == {
        "A snapshot from before a publication keeps its rows",
        "Publishing does not wait for a reader that stays open",
        "Later readers do not wait either",
        "No ACCESS EXCLUSIVE lock on what is published",
        "Relations stay the same ones (OID), and views on them work",
        "All other tenants go through, whole",
        "Checks that see nothing, for row security hides the rows, do not pass",
        "Two more can be undone after that",
    }
    assert "| Later readers do not wait either | **fails** |" in markdown(report)


def test_a_refresh_of_materialized_views_has_no_row_security_and_no_way_back(stand: Stand) -> None:
    names = ("readers", "snapshot", "open reader", "security", "bad rows", "blinded", "killed", "undone")
    assert broken(verdicts(stand, "matview refresh", *names)) == {
        "Row security and its policies stay",
        "All other tenants go through, whole",
        "Checks that see nothing, for row security hides the rows, do not pass",
        "The last publication can be undone",
        "Two more can be undone after that",
    }
