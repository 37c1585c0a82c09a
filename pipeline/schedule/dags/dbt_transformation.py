"""The hourly promotion as a DAG of Airflow 3: build -> check -> publish -> report, and whether anybody is held.

A plain file: it imports Airflow alone, and calls the `workbench` command, which lives in an environment of
its own. Two Airflow Variables tell how, both optional (an environment variable AIRFLOW_VAR_<NAME> sets one):

- workbench_command: the path of the executable; without it, `workbench` on the worker's PATH.
- workbench_env_file: a file of KEY=VALUE lines with the workbench's settings; without it, they are in the
  worker's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, TriggerRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

DONE, HELD, NOT_JUDGED, TRY_AGAIN = 0, 3, 4, 75
"""Exit codes of `workbench`; a negative one is the signal that ended it."""
NOT_ITS_BUSINESS = ("AIRFLOW", "_AIRFLOW", "PYTHON")
"""Variables of Airflow's environment that another environment's Python must not see begin so."""
PROMOTION = "promotion"
"""The XCom that tells what came of a step."""
MOST_NAMED = 50
GRACE_SECONDS = 20

DESCRIPTION = """
Promotes what was landed: **build** candidates with dbt, **check** them, **publish** what passes in one
transaction, **report** what was checked. All four may be cleared and repeated at any time: one run promotes once.

- *nobody_is_held* is skipped while a tenant's data is held; its log and the XCom of *publish* name the tenants and
  the rules. Everybody else is published, and the run is a success.
- *check* fails the run if the checks could not judge at all: nobody was published then.
- What may pass by itself (the database is away, another promotion runs) is retried; nothing else is.

The button *Quality report* of a task leads to the report, where the notebook server's address is set.
"""


class QualityReport(BaseOperatorLink):
    """The page on which stewards read what the promotion checked, and decide."""

    name = "Quality report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Its address; empty where nothing was checked, or the notebook server's is not known.

        Airflow asks in the task's own process, once it has run.
        """
        return (getattr(operator, "told", None) or {}).get("report") or ""


class AboutPromotion(BaseOperator):
    """A task that tells of a promotion: in an XCom, and by a button that leads to the report."""

    operator_extra_links = (QualityReport(),)

    def tell(self, context: Context, told: dict[str, Any]) -> None:
        """Leave it for the page of the run, and for the tasks that follow."""
        self.told = told
        context["ti"].xcom_push(key=PROMOTION, value=told)


class Workbench(AboutPromotion):
    """One call of the `workbench` command: its notes go to the log as they come, its answer to whoever called."""

    template_fields: Sequence[str] = ("words", "command", "env_file")

    def __init__(self, *, words: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.words = list(words)
        self.command = "{{ var.value.get('workbench_command', 'workbench') }}"
        self.env_file = "{{ var.value.get('workbench_env_file', '') }}"
        self._process: subprocess.Popen[str] | None = None

    def call(self) -> tuple[int, str]:
        """Run it; the exit code and standard output."""
        with TemporaryFile("w+", encoding="utf-8") as answer:
            try:
                self._process = subprocess.Popen(
                    [self.command, *self.words],
                    stdin=subprocess.DEVNULL,
                    stdout=answer,
                    stderr=subprocess.PIPE,
                    env=environment(self.env_file),
                    encoding="utf-8",
                    errors="replace",
                )
            except OSError as error:
                raise AirflowFailException(
                    f"{self.command} cannot be run: {error.strerror}. "
                    "The Airflow Variable workbench_command names the path of the `workbench` executable."
                ) from error
            try:
                self._follow(self._process)
                code = self._process.wait()
            except BaseException:
                # The task is to end: so is what it started.
                self.on_kill()
                raise
            answer.seek(0)
            return code, answer.read()

    def require(self, code: int, *fine: int) -> None:
        """Fail the task unless it ended so; for good, unless trying again may help."""
        if code in fine:
            return
        ended = f"`workbench {' '.join(self.words)}` ended with {code}; the lines above say why."
        if code == TRY_AGAIN or code < 0:
            raise AirflowException(f"{ended} It is worth another try.")
        raise AirflowFailException(ended)

    def on_kill(self) -> None:
        """End the command: whatever it did not publish by then is not published."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        self._process.kill()
        self._process.wait()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.info("%s", line.rstrip())


class Promote(Workbench):
    """Brings the run's promotion as far as `step`; repeated, it takes it up where it is."""

    def __init__(self, *, step: str, **options: Any) -> None:
        # Not every run has a logical date: one that was triggered by hand may be known by its id alone.
        key = "{{ dag.dag_id }} {{ dag_run.logical_date or run_id }}"
        super().__init__(words=["promote", "--request", key, "--until", step, "--json"], **options)

    def execute(self, context: Context) -> None:
        """Call it, and leave what it tells in an XCom."""
        code, answer = self.call()
        self.require(code, DONE, HELD, NOT_JUDGED)
        told = summary(json.loads(answer))
        self.log.info("%s", sentence(told))
        self.tell(context, told)
        if code == NOT_JUDGED:
            raise AirflowFailException("The checks could not judge, so nobody was published; the report says why.")


class Report(Workbench):
    """Writes the report of what was checked into its log."""

    def __init__(self, *, of: Sequence[str], **options: Any) -> None:
        super().__init__(words=["quality", "report", "--promotion", ""], **options)
        self.of = of

    def execute(self, context: Context) -> None:
        """Skipped where nothing was checked."""
        told = latest(context, self.of)
        if told is None or not told["tenants"]:
            raise AirflowSkipException("There was nothing to check.")
        self.tell(context, told)
        self.words[-1] = str(told["promotion"])
        code, answer = self.call()
        for line in answer.splitlines():
            self.log.info("%s", line)
        self.require(code, DONE)


class NobodyIsHeld(AboutPromotion):
    """Succeeds if it is so; a held tenant is a warning: the task is skipped, and its log says who and why."""

    def __init__(self, *, of: str, **options: Any) -> None:
        super().__init__(**options)
        self.of = of

    def execute(self, context: Context) -> None:
        """Tell who is held, by this run's promotion or since an earlier one."""
        told = latest(context, [self.of])
        if told is None:
            raise AirflowFailException(f"The task {self.of} left no word.")
        self.tell(context, told)
        for tenant, hold in told["held"].items():
            self.log.warning("%s is held: %s (%s)", tenant, hold["verdict"], ", ".join(hold["rules"]) or "no rule")
        if told["waiting"]:
            self.log.warning("%s tenants are held since earlier promotions", told["waiting"])
        if count := told["held_tenants"] + told["waiting"]:
            raise AirflowSkipException(
                f"{count} tenants are held; everybody else is published. Next: `workbench holds list`."
            )


def environment(env_file: str) -> dict[str, str]:
    """What the command sees: the worker's environment, but for what is Airflow's own, and the file's settings."""
    seen = {name: value for name, value in os.environ.items() if not name.startswith(NOT_ITS_BUSINESS)}
    if not env_file:
        return seen
    try:
        lines = Path(env_file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AirflowFailException(
            f"{env_file}, which the Airflow Variable workbench_env_file names, cannot be read: {error.strerror}."
        ) from error
    for number, line in enumerate(map(str.strip, lines), start=1):
        name, equals, value = line.partition("=")
        if line and not line.startswith("#"):
            if not equals:
                raise AirflowFailException(f"{env_file}, line {number}: not of the form KEY=VALUE.")
            seen[name] = value
    return seen


def summary(promotion: dict[str, Any]) -> dict[str, Any]:
    """What the page of the run shows of a promotion: the heaviest tenants by name, all of them by number."""
    held = sorted(promotion["held"].items(), key=lambda item: -item[1]["raw_rows"])
    promoted = sorted(promotion["promoted"].items(), key=lambda item: -item[1])
    return {
        "promotion": promotion["id"],
        "state": promotion["state"],
        "as_of": promotion["as_of"],
        "tenants": len(promotion["taken_up"]),
        "events": sum(promotion["taken_up"].values()),
        "promoted_tenants": len(promoted),
        "promoted": dict(promoted[:MOST_NAMED]),
        "held_tenants": len(held),
        "held": {
            tenant: {
                "verdict": hold["state"],
                "events": hold["raw_rows"],
                "rules": [finding["rule"] for finding in hold["findings"] if finding["severity"] == "stop"],
            }
            for tenant, hold in held[:MOST_NAMED]
        },
        "waiting": len(promotion["waiting"]),
        "seconds": promotion["seconds"],
        "report": promotion["report_url"],
    }


def sentence(told: dict[str, Any]) -> str:
    """The same in a line of the log."""
    return (
        f"Promotion {told['promotion']} is {told['state']}: {told['events']:,} events of {told['tenants']:,} tenants, "
        f"{told['promoted_tenants']:,} promoted, {told['held_tenants']:,} held, "
        f"{told['waiting']:,} held since earlier promotions. {told['report'] or ''}"
    )


def latest(context: Context, tasks: Sequence[str]) -> dict[str, Any] | None:
    """What the first of the tasks told that told anything."""
    return next(
        (told for task in tasks if (told := context["ti"].xcom_pull(task_ids=task, key=PROMOTION)) is not None), None
    )


with DAG(
    dag_id="dbt_transformation",
    description="Promote what was landed: build, check, publish, report",
    doc_md=DESCRIPTION,
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["workbench"],
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "execution_timeout": timedelta(hours=6),
    },
) as dag:
    build, check, publish = (Promote(task_id=step, step=step) for step in ("build", "check", "publish"))
    report = Report(task_id="report", of=["publish", "check"], trigger_rule=TriggerRule.ALL_DONE)
    held = NobodyIsHeld(task_id="nobody_is_held", of="publish")
    build >> check >> publish >> [report, held]
