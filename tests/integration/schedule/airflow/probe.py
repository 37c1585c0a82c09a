"""What the parts of the DAG file do by themselves, in Airflow's environment; the last line of output is the answer."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])

import dbt_transformation as dag_file


def refusal(work: Callable[[], object]) -> str:
    """How the work fails."""
    try:
        return f"it did not fail: {work()}"
    except Exception as error:  # noqa: BLE001 - its kind is the answer
        return f"{type(error).__name__}: {error}"


def ended(code: int) -> str:
    """How a task ends whose command ended with the code."""
    return refusal(lambda: task("sh", "-c", "exit").require(code, dag_file.DONE)).partition(":")[0]


def task(command: str, *words: str) -> dag_file.Workbench:
    """A call of another command."""
    made = dag_file.Workbench(task_id="probe", words=words)
    made.command, made.env_file = command, ""
    return made


def kill() -> tuple[int, float]:
    """A command that would take a minute, whose task is to end: its exit code, and after how long."""
    sleeping, began = task("sleep", "60"), time.monotonic()
    killer = threading.Timer(0.2, sleeping.on_kill)
    killer.start()
    code, _ = sleeping.call()
    return code, time.monotonic() - began


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "settings")
    file.write_text("# settings\n\nDATABASE_URL=postgresql://a:b@c/d?x=y\n WORKBENCH_SECRET=with # and 'quotes'\n")
    seen = dag_file.environment(str(file))
    file.write_text("DATABASE_URL\n")
    told = {
        "seen": {name: value for name, value in seen.items() if name.startswith(("DATABASE", "WORKBENCH", "OTHER"))},
        "foreign": sorted(name for name in seen if name.startswith(dag_file.NOT_ITS_BUSINESS)),
        "no pair": refusal(lambda: dag_file.environment(str(file))),
        "no file": refusal(lambda: dag_file.environment("/nowhere")),
        "no command": refusal(task("/nowhere/workbench").call),
        "ended": {code: ended(code) for code in (0, 1, 2, 3, 75, -9)},
        "killed": kill(),
        "dag": {
            "schedule": dag_file.dag.timetable.expression,
            "catchup": dag_file.dag.catchup,
            "max_active_runs": dag_file.dag.max_active_runs,
            "retries": dag_file.build.retries,
            "tasks": [each.task_id for each in dag_file.dag.topological_sort()],
        },
    }
print(json.dumps(told))
