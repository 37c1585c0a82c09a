"""A real Airflow with metadata of a test's own, and what it left in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
DAGS = ROOT / "pipeline" / "schedule" / "dags"
LOCK = ROOT / "airflow" / "requirements.lock"
VENV = ROOT / ".airflow" / "venv"
PATIENCE_SECONDS = 240

RUNS = "select logical_date, state, run_id from dag_run"
TASKS = "select task_id, state, try_number from task_instance where run_id = ?"
TOLD = "select task_id, key, value from xcom where run_id = ?"


@dataclass(frozen=True)
class Run:
    """A run of the DAG as its page shows it."""

    state: str
    tasks: Mapping[str, str]
    tries: Mapping[str, int]
    told: Mapping[str, Any]
    """Task to its XCom `promotion`."""
    links: Mapping[str, str]
    """Task to where its button leads."""
    log: str


@dataclass(kw_only=True)
class Airflow:
    """Airflow's home, in which it keeps its metadata."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    """What the DAG reads as Airflow Variables."""
    environment: dict[str, str] = field(default_factory=dict)
    """What the worker sees beside."""

    def test(self, hour: str) -> Run:
        """`airflow dags test dbt_transformation`."""
        return self._runs(VENV / "bin" / "airflow", "dags", "test", "dbt_transformation", hour)[hour]

    def drive(self, *hours: str) -> dict[str, Run]:
        """The same for several hours, one after the other, without pauses between tries."""
        return self._runs(VENV / "bin" / "python", HERE / "drive.py", *hours)

    def probe(self) -> dict[str, Any]:
        """What the parts of the DAG file do by themselves."""
        ended = self.call(VENV / "bin" / "python", HERE / "probe.py")
        assert ended.returncode == 0, ended.stdout
        answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return answer

    def call(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of its environment, to its end."""
        return subprocess.run(
            words,
            env=self._environment(),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        given = {f"AIRFLOW_VAR_{name.upper()}": value for name, value in self.variables.items()}
        return _environment(self.home) | self.environment | given

    def _runs(self, *words: str | Path) -> dict[str, Run]:
        ended = self.call(*words)
        with closing(sqlite3.connect(self.home / "airflow.db")) as connection:
            runs = connection.execute(RUNS).fetchall()
            assert runs, ended.stdout
            return {_hour(at): self._run(connection, state, run_id, ended.stdout) for at, state, run_id in runs}

    def _run(self, connection: sqlite3.Connection, state: str, run_id: str, log: str) -> Run:
        tasks = connection.execute(TASKS, (run_id,)).fetchall()
        told = connection.execute(TOLD, (run_id,)).fetchall()
        return Run(
            state=state,
            tasks={task: state for task, state, _ in tasks},
            tries={task: tries for task, _, tries in tasks},
            told={task: json.loads(value) for task, key, value in told if key == "promotion"},
            links={task: json.loads(value) for task, key, value in told if key == "_link_QualityReport"},
            log=log,
        )


def metadata() -> Path:
    """Empty metadata of this release of Airflow, made once: it takes some ten seconds."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    kept = VENV.parent / f"metadata-{digest}.db"
    if not kept.exists():
        making = VENV.parent / f"making-{os.getpid()}"
        making.mkdir(exist_ok=True)
        made = Airflow(home=making).call(VENV / "bin" / "airflow", "db", "migrate")
        assert made.returncode == 0, made.stdout
        (making / "airflow.db").rename(kept)
        shutil.rmtree(making)
    return kept


def _hour(stored: str) -> str:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).isoformat()


def _environment(home: Path) -> dict[str, str]:
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "WORKBENCH", "PYTHON"))
    }
    return ours | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "false",
    }
