"""`workbench notebooks`: the notebook server as a process. Composes it from settings and the database."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

import workbench
from workbench.cli.context import read_settings
from workbench.cli.embedding import embeds_desk
from workbench.cli.service import SupervisedFlag, service

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.people.people import People
    from workbench.serving.metrics import Metrics
    from workbench.session.registry import Registry

NOTEBOOKS = Path(workbench.__file__).parent / "notebooks"
EXTRACTS = "extracts"
"""The folder in the home folder where extracts are kept."""

LOOK_SECONDS = 0.5
"""How soon the process notices that it is told to end."""
FORCE_SECONDS = 20.0
"""How long the end waits for notebooks in the middle of a read."""

NICENESS = 5
"""Where it shares a machine with the intake of events, that comes first."""

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the `notebooks` command."""
    app.command("notebooks")(run)


def run(
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Its port, 0: any free one; else WORKBENCH_NOTEBOOKS_PORT.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else WORKBENCH_NOTEBOOKS_HOST.")] = None,
    supervised: SupervisedFlag = False,
) -> None:
    """Serve the notebooks to the people of all tenants, until Ctrl-C or SIGTERM.

    Everybody signs in and sees their own tenant's data only. It is a process of
    its own, so that what people compute never slows the intake of events.
    `workbench users add` adds people; docs/notebook-server.md tells how to put it
    behind a proxy, and how people sign in with OpenID Connect.

    Examples:
      workbench notebooks
      workbench notebooks --port 8090
    """
    settings = read_settings()
    given = replace(
        settings.notebooks,
        host=host or settings.notebooks.host,
        port=settings.notebooks.port if port is None else port,
    )
    given.require_whole()
    os.nice(NICENESS)
    # Told to end while it begins or ends, it leaves at once: nothing of it lasts.
    with suppress(KeyboardInterrupt), service(settings, "notebooks", supervised=supervised) as (database, ending):
        ending.end_by_force(FORCE_SECONDS)
        # It would log addresses of WebSockets, in which session ids stand.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        with serve_notebooks(replace(settings, notebooks=given), database) as url:
            log.info("notebooks at %s", url)
            # Polars takes SIGINT over so that a wait without an end goes on after it.
            while not ending.wait(LOOK_SECONDS):
                pass
            log.info("ending: closing the notebooks that are open")


@contextmanager
def serve_notebooks(settings: Settings, database: Database) -> Iterator[str]:
    """The notebook server in this process; yields the address that people type.

    Raises StackError where a port cannot be listened on, SettingsError where marimo is set up in a way that
    would mix tenants, NotebookRefused for a notebook that must not be served.
    """
    from workbench import stewards
    from workbench.people.people import open_people
    from workbench.people.sessions import SessionLimits
    from workbench.serving.app import Application
    from workbench.serving.catalog import read_catalog
    from workbench.serving.metrics import Metrics
    from workbench.serving.origins import doors
    from workbench.serving.server import serve

    given = settings.notebooks
    limits = SessionLimits.lasting(timedelta(hours=given.session_hours))
    notebooks, metrics = read_catalog(NOTEBOOKS), Metrics()
    with (
        open_people(database, limits=limits) as people,
        _workbenches(settings, database, people) as workbenches,
        embeds_desk(settings, database) as embeds,
    ):
        stewards.install(stewards.Desk(database, stewards.Decisions(stewards.Process(os.environ))))

        def make(port: int) -> Application:
            return Application(
                given,
                doors=doors(given, port),
                notebooks=notebooks,
                people=people,
                freshness_of=lambda tenant_id: workbenches.workbench(tenant_id).freshness(),
                embeds=embeds,
                metrics=metrics,
            )

        with _metrics_served(settings, metrics), serve(make, given) as port:
            yield doors(given, port).url


@contextmanager
def _workbenches(settings: Settings, database: Database, people: People) -> Iterator[Registry]:
    """The tenants' workbenches: one pool and one cache for all, a login for each."""
    from pipeline.core.errors import TenantError
    from workbench.session import registry
    from workbench.session.extracts import ExtractCache
    from workbench.session.pool import Pool
    from workbench.session.workbench import Workbench

    pool = Pool()
    folder = settings.notebooks.cache_dir or settings.home / EXTRACTS
    cache = ExtractCache(folder, most_bytes=settings.notebooks.cache_bytes)

    def open_one(tenant_id: str) -> Workbench:
        tenant = people.tenant(tenant_id)
        if tenant is None:
            raise TenantError(f"There is no tenant {tenant_id}, or it is suspended.")
        return Workbench(
            tenant_id=tenant.tenant_id,
            display_name=tenant.display_name,
            url=database.reading_url(tenant.login),
            pool=pool,
            cache=cache,
        )

    yield registry.install(open_one)
    registry.uninstall()


def _metrics_served(settings: Settings, metrics: Metrics) -> AbstractContextManager[object]:
    from workbench.serving.metrics import served

    given = settings.notebooks
    if given.metrics_port is None:
        return nullcontext()
    return served(metrics, host=given.metrics_host, port=given.metrics_port)
