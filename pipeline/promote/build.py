"""The build: dbt, in this process, as the transformer.

dbt reads the windows from control.promotion_window; nothing of a promotion travels as a variable,
which would void what it has parsed. It is imported late: that takes a second or two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from pipeline.core.errors import PromotionError

# What dbt/profiles.yml reads, by libpq's names.
VARIABLES = {
    "host": "WORKBENCH_DBT_HOST",
    "port": "WORKBENCH_DBT_PORT",
    "user": "WORKBENCH_DBT_USER",
    "password": "DBT_ENV_SECRET_WORKBENCH_PASSWORD",
    "dbname": "WORKBENCH_DBT_DBNAME",
    "sslmode": "WORKBENCH_DBT_SSLMODE",
}

# Silent, and leaving nothing beside the models: what went wrong is in the result.
FLAGS = (
    "--log-level", "none",
    "--log-level-file", "none",
    "--no-write-json",
    "--no-send-anonymous-usage-stats",
    "--no-version-check",
)  # fmt: skip


class Builder:
    """Builds all models; the parsed project is kept until the models change."""

    def __init__(self, dbt_dir: Path, url: str, *, parsed_dir: Path | None = None) -> None:
        """`parsed_dir` outlives the process, so that its next one parses less; None is a temporary folder."""
        self._dbt_dir = dbt_dir
        self._environment = _environment(url)
        self._temporary = None if parsed_dir else TemporaryDirectory(prefix="workbench-dbt-")
        self._target = str(parsed_dir) if self._temporary is None else self._temporary.name
        self._manifest: Any = None
        self._parsed_from: str | None = None

    def build(self, *, models_fingerprint: str) -> None:
        """Build the candidate of the promotion in state planned. Raises PromotionError with dbt's own words."""
        if self._parsed_from != models_fingerprint:
            self._manifest = self._run("parse", manifest=None)
            self._parsed_from = models_fingerprint
        self._run("run", manifest=self._manifest)

    def _run(self, command: str, *, manifest: Any) -> Any:
        from dbt.cli.main import dbtRunner

        folders = ("--project-dir", "--profiles-dir")
        places = [word for folder in folders for word in (folder, str(self._dbt_dir))]
        places += ["--target-path", self._target, "--log-path", self._target]
        with _environment_of_call(self._environment):
            outcome = dbtRunner(manifest=manifest).invoke([command, *FLAGS, *places])
        if outcome.exception is not None and not isinstance(outcome.exception, Exception):
            raise outcome.exception  # Ctrl-C is not dbt's to swallow.
        if not outcome.success:
            raise PromotionError(
                f"dbt {command} failed: {_told(outcome)}",
                remedy="Correct the model or the database, then promote again: what was pending stays pending.",
            ) from outcome.exception
        return outcome.result


def _told(outcome: Any) -> str:
    """What dbt says of the first models that failed, or of itself."""
    if outcome.exception is not None:
        return " ".join(str(outcome.exception).split())
    failed = [node for node in outcome.result if node.status in ("error", "fail")]
    return "; ".join(f"{node.node.name}: {' '.join(str(node.message).split())}" for node in failed[:3])


def _environment(url: str) -> dict[str, str]:
    given = conninfo_to_dict(url)
    return {variable: str(given[name]) for name, variable in VARIABLES.items() if given.get(name)}


@contextmanager
def _environment_of_call(variables: Mapping[str, str]) -> Iterator[None]:
    """The variables set for as long as it takes: dbt takes a connection from nowhere else but a file."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
