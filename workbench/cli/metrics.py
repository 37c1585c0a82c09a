"""`workbench metrics`: the metrics of promotions, printed or served. Composes them from settings and the database."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import say
from workbench.cli.service import service

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pipeline.core.database import Database
    from pipeline.core.settings import Settings

REMEDY = "choose another port: --port, WORKBENCH_SCHEDULE_METRICS_PORT"
LONGEST_SECONDS = 30.0
"""How long the database has to answer where the metrics are printed."""

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the `metrics` command."""
    app.command("metrics")(run)


def run(
    serve: Annotated[bool, typer.Option("--serve", help="Serve /metrics until Ctrl-C or SIGTERM.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Port to serve on, 0: any free one; else WORKBENCH_SCHEDULE_METRICS_PORT."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on; else WORKBENCH_SCHEDULE_METRICS_HOST.")] = None,
) -> None:
    """Tell where promotions stand, in Prometheus' text format.

    How long ago a promotion succeeded and what its steps took, who is held, what
    is pending, how large the database is: read from the ledger, whoever
    promotes. `workbench schedule` serves the same on
    WORKBENCH_SCHEDULE_METRICS_PORT; where Airflow promotes, run this instead.

    Examples:
      workbench metrics
      workbench metrics --serve --port 9103

    Next: docs/operations.md says what to watch; docs/grafana has a dashboard.
    """
    from prometheus_client import generate_latest

    from workbench.promoting.metrics import registry_of
    from workbench.promoting.standing import read_standing

    settings = read_settings()
    if not serve:
        with open_database(settings) as database:
            every = settings.promote_every_seconds
            registry = registry_of(lambda: read_standing(database), every_seconds=every, patience=LONGEST_SECONDS)
            say(generate_latest(registry).decode().rstrip())
        return
    if port is None and settings.schedule_metrics_port is None:
        raise typer.BadParameter("name one, or set WORKBENCH_SCHEDULE_METRICS_PORT", param_hint="--port")
    with (
        suppress(KeyboardInterrupt),
        service(settings, "metrics", supervised=False, patient=True) as (database, ending),
        served_metrics(database, settings, host=host, port=port) as url,
    ):
        log.info("metrics at %s", url)
        ending.wait()


def served_metrics(
    database: Database, settings: Settings, *, host: str | None = None, port: int | None = None
) -> AbstractContextManager[str]:
    """Serve them in this process, where the settings say unless it is given. Raises StackError for a port in use."""
    from workbench.exposition import served
    from workbench.promoting.metrics import registry_of
    from workbench.promoting.standing import read_standing

    chosen = settings.schedule_metrics_port if port is None else port
    return served(
        registry_of(lambda: read_standing(database), every_seconds=settings.promote_every_seconds),
        host=host or settings.schedule_metrics_host,
        port=chosen or 0,
        remedy=REMEDY,
    )
