"""`workbench doctor`: is everything as it must be, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from pipeline.core.errors import SettingsError, StackError
from workbench.cli.context import DBT_DIR, read_settings
from workbench.cli.output import JsonFlag, console, print_json, visible
from workbench.cli.running import find_stack
from workbench.cli.serve import SPOOL
from workbench.cli.streaming import quiet_client

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.diagnosis import Check

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
UNHEALTHY = 1


def register(app: typer.Typer) -> None:
    """Add the `doctor` command."""
    app.command("doctor")(run)


def run(as_json: JsonFlag = False) -> None:
    """Check settings, machine, database and Kafka, and tell what to do.

    Each line is ok, warn or fail; what is not ok has a remedy. Kafka is looked at
    where KAFKA_BOOTSTRAP_SERVERS is set. Nothing is changed or created, but the
    embedded database, if there is one, is started for as long as the checks take.
    Exit code 1 if a check fails.

    Examples:
      workbench doctor
      workbench doctor --json

    Next: do what the remedies say, then run it again.
    """
    checks = []
    for check in _examine():
        checks.append(check)
        if not as_json:
            _print(check)
    if as_json:
        print_json(checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(UNHEALTHY)


def _examine() -> Iterator[Check]:
    from workbench.diagnosis import fail, guarded, machine, ok

    yield machine.python()
    yield machine.packages()
    yield guarded("dbt project", lambda: machine.dbt_project(DBT_DIR))
    try:
        settings = read_settings()
    except SettingsError as error:
        yield fail("settings", error.message, error.remedy or "docs/settings.md lists every setting.")
        return
    yield ok("settings", "DATABASE_URL" if settings.database_url else f"embedded, home {settings.home.resolve()}")
    stack = find_stack(settings.home)
    yield ok("stack", f"running at {stack.url} (pid {stack.pid})" if stack else "not running")
    if settings.kafka_bootstrap_servers:
        from workbench.diagnosis import stream

        quiet_client(settings)
        yield from stream.examine(settings)
        yield guarded("spool", lambda: stream.spools(settings.home / SPOOL))
    yield from _configured(settings) if settings.database_url else _embedded(settings)


def _configured(settings: Settings) -> Iterator[Check]:
    from pipeline.core.database import Database

    yield from _database(settings, Database(admin_url=settings.database_url or "", secret=settings.secret))


def _embedded(settings: Settings) -> Iterator[Check]:
    from pipeline.core.database import Database
    from pipeline.core.embedded import EmbeddedPostgres
    from workbench.diagnosis import fail, guarded, machine, ok

    yield guarded("disk", lambda: machine.disk(settings.home))
    if not (settings.home / "postgres" / "PG_VERSION").exists():
        yield ok("database", "embedded, not created yet: the first command that needs it does")
        return
    server = EmbeddedPostgres(settings.home)
    try:
        server.start()
    except StackError as error:
        yield fail("database", error.message, error.remedy or "")
        return
    try:
        yield guarded("socket", lambda: machine.socket(server.admin_url))
        yield from _database(settings, Database(admin_url=server.admin_url))
    finally:
        server.stop()


def _database(settings: Settings, database: Database) -> Iterator[Check]:
    """The database, and how far the stream has landed in it if it is one of this release."""
    from workbench.diagnosis.server import examine

    deployed = False
    for check in examine(database):
        deployed |= check.name == "revision" and check.state == "ok"
        yield check
    if settings.kafka_bootstrap_servers and deployed:
        from workbench.diagnosis.stream import examine_landing

        yield from examine_landing(settings, database)


def _print(check: Check) -> None:
    line = Text.assemble((f"{check.state:<4}", STYLES[check.state]), f"  {check.name:<16} ", visible(check.detail))
    if check.remedy:
        line.append(f"\n{'':22} {visible(check.remedy)}", style="dim")
    console.print(line, soft_wrap=True)
