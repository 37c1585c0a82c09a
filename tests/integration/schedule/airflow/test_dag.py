"""The DAG on a real Airflow, calling the real command on a real database."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.integration.schedule.airflow.conftest import WORKBENCH
from tests.integration.schedule.airflow.installation import Airflow
from tests.integration.schedule.airflow.landed import FACTS, LEDGER, add_tenants, land, rows

HOUR, NEXT_HOUR = "2026-03-02T10:00:00+00:00", "2026-03-02T11:00:00+00:00"
STEPS = ("build", "check", "publish")
HOLDS = "select tenant_id, verdict from control.holds where state = 'open' order by 1"
BLIND = """
import checks.gate
def judge(*_):
    raise RuntimeError("the rules cannot be read")
checks.gate.ExpectationsGate._judge = judge
from workbench.cli.app import main
main()
"""


@pytest.fixture
def landed(database: Database) -> Database:
    """Events of a good tenant, and of one whose clock is two days ahead."""
    add_tenants(database)
    return database


def script(folder: Path, body: str) -> str:
    """An executable that stands in for `workbench`."""
    file = folder / "stand-in"
    file.write_text(f"#!/bin/sh\n{body}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_run_promotes_once_however_often_it_is_repeated_and_warns_of_a_held_tenant(
    airflow: Airflow, landed: Database
) -> None:
    run = airflow.test(HOUR)
    assert run.state == "success", run.log
    assert run.tasks == {**dict.fromkeys((*STEPS, "report"), "success"), "nobody_is_held": "skipped"}
    assert rows(landed, FACTS) == [("acme", 3)]
    assert rows(landed, LEDGER) == [("published", f"dbt_transformation {HOUR.replace('T', ' ')}")]
    told = run.told["publish"]
    assert (told["promoted"], told["held_tenants"]) == ({"acme": 3}, 1)
    assert told["held"]["globex"]["verdict"] == "failed"
    assert "globex is held: failed" in run.log
    assert run.told["check"]["promoted"] == {}
    page = f"https://notebooks.example.com/notebooks/quality/?promotion={told['promotion']}"
    assert {run.links[task] for task in ("check", "publish", "report", "nobody_is_held")} == {page}
    assert run.links["build"] == ""
    assert "clock_is_not_ahead │ stop" in run.log, "the report is in the log"

    land(landed, "acme", 2)
    again = airflow.test(HOUR)
    assert (again.state, again.tasks) == (run.state, run.tasks)
    assert rows(landed, FACTS) == [("acme", 3)]
    assert len(rows(landed, LEDGER)) == 1


def test_checks_that_cannot_judge_fail_the_run_and_only_what_may_pass_by_itself_is_retried(
    airflow: Airflow, landed: Database, tmp_path: Path
) -> None:
    # The first call finds the database away, as it were; those that check are blind; later dbt fails.
    away = tmp_path / "away"
    away.touch()
    airflow.variables["workbench_command"] = script(
        tmp_path,
        f"if rm '{away}' 2>/dev/null; then echo 'Error: The database is away.' >&2; exit 75; fi\n"
        'case "$*" in\n'
        "*' 11:00'*) echo 'Error: dbt run failed.' >&2; exit 1;;\n"
        f"*'--until check'*) exec '{sys.executable}' -c '{BLIND}' \"$@\";;\n"
        f"*) exec '{WORKBENCH}' \"$@\";;\n"
        "esac\n",
    )
    runs = airflow.drive(HOUR, NEXT_HOUR)
    run = runs[HOUR]
    assert run.state == "failed", run.log
    assert run.tasks == {
        "build": "success",
        "check": "failed",
        "publish": "upstream_failed",
        "report": "success",
        "nobody_is_held": "upstream_failed",
    }
    assert (run.tries["build"], run.tries["check"]) == (2, 1)
    assert "Error: The database is away." in run.log
    assert "the rules cannot be read" in run.log
    assert rows(landed, FACTS) == []
    assert rows(landed, HOLDS) == [("acme", "errored"), ("globex", "errored")]

    broken = runs[NEXT_HOUR]
    assert broken.state == "failed"
    assert (broken.tasks["build"], broken.tries["build"]) == ("failed", 1)
    assert (broken.tasks["report"], broken.tasks["publish"]) == ("skipped", "upstream_failed")


def test_the_parts_of_the_dag_file_do_what_they_say(airflow: Airflow) -> None:
    airflow.environment = {"OTHER": "1", "DATABASE_URL": "postgresql://of.the.worker/x", "PYTHONPATH": "/elsewhere"}
    told = airflow.probe()
    assert told["seen"] == {
        "OTHER": "1",
        "DATABASE_URL": "postgresql://a:b@c/d?x=y",
        "WORKBENCH_SECRET": "with # and 'quotes'",
    }
    assert told["foreign"] == []
    assert "line 1: not of the form KEY=VALUE" in told["no pair"]
    assert "workbench_env_file" in told["no file"]
    assert told["no command"].startswith("AirflowFailException: /nowhere/workbench cannot be run")
    for_good, again = "AirflowFailException", "AirflowException"
    assert told["ended"] == {
        "0": "it did not fail",
        "1": for_good,
        "2": for_good,
        "3": for_good,
        "75": again,
        "-9": again,
    }
    code, seconds = told["killed"]
    assert (code, seconds < 20) == (-15, True)
    assert sorted(told["dag"].pop("tasks")) == sorted((*STEPS, "report", "nobody_is_held"))
    assert told["dag"] == {"schedule": "0 * * * *", "catchup": False, "max_active_runs": 1, "retries": 4}
