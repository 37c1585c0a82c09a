"""Plain `dbt build`: the project in `conformance/dbt_build`, whose models are what readers read, with dbt tests.

In this process, with the parsed project kept, as the promotion of the workbench runs dbt too. Grants
are dbt's own configuration. Row security and the view's options are set once, by an administrator,
after the first build; with `hooks` every model's post-hook sets them.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from psycopg.conninfo import conninfo_to_dict

from conformance.port import Published, Unsupported
from conformance.subjects.marts_sql import MARTS
from conformance.subjects.warehouse import READING, Warehouse
from pipeline.core.database import Database
from pipeline.promote.build import FLAGS

PROJECT = Path(__file__).parent.parent / "dbt_build"
MOST_TOLD = 2
# What profiles.yml reads, by libpq's names.
VARIABLES = {
    "host": "CONFORMANCE_DBT_HOST",
    "port": "CONFORMANCE_DBT_PORT",
    "user": "CONFORMANCE_DBT_USER",
    "password": "DBT_ENV_SECRET_CONFORMANCE_PASSWORD",
    "dbname": "CONFORMANCE_DBT_DBNAME",
}

INVOKER = f"alter view {READING.own_metrics} set (security_invoker = true, security_barrier = true)"


class DbtBuild(Warehouse):
    """Facts incremental, metrics and users as tables, the tenants' view as a view; tests on each."""

    reading = READING

    def __init__(self, database: Database, *, hooks: bool = False) -> None:
        super().__init__(database)
        self.name = "dbt build, hooks" if hooks else "dbt build"
        self._hooks = self._secured = hooks
        self._target = TemporaryDirectory(prefix="conformance-dbt-")
        given = conninfo_to_dict(self.url)
        self._environment = {VARIABLES[name]: str(given[name]) for name in VARIABLES if given.get(name)}
        self._manifest: Any = None

    def prepare(self) -> None:
        """Roles and schema; the tables come with the first build."""
        super().prepare()

    def publish(self, *, full_refresh: bool = False) -> Published:
        """`dbt build`."""
        if self._manifest is None:
            self._manifest = self._run("parse").result
        outcome = self._run("build", *(["--full-refresh"] if full_refresh else []))
        if outcome.exception is not None:
            return Published(ok=False, told=" ".join(str(outcome.exception).split())[:200])
        failed = [node for node in outcome.result if node.status in ("error", "fail")]
        told = "; ".join(
            f"{node.node.name}: {' '.join(str(node.message).split())[:120]}" for node in failed[:MOST_TOLD]
        )
        if not failed and not self._secured:
            self._secure()
        return Published(ok=not failed, told=told or "built")

    def _secure(self) -> None:
        """What dbt does not configure, set once, by hand."""
        with self.builder() as connection:
            for mart in MARTS:
                connection.execute(self.protect(mart, grant=False))
            connection.execute(INVOKER.encode())
        self._secured = True

    def undo(self, publications: int) -> None:  # noqa: ARG002
        """There is nothing to go back to."""
        raise Unsupported("none: correct the source and build again")

    def _run(self, command: str, *more: str) -> Any:
        from dbt.cli.main import dbtRunner

        places = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        places += ["--target-path", self._target.name, "--log-path", self._target.name]
        variables = ["--vars", f"{{hooks: {str(self._hooks).lower()}}}"]
        # dbt takes a connection from nowhere but a file, and the file takes it from here.
        with patch.dict(os.environ, self._environment):
            return dbtRunner(manifest=self._manifest).invoke([command, *FLAGS, *places, *variables, *more])
