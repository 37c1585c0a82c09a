"""`workbench serve`: the ingest API as a process. Composes it from settings and the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from workbench.cli.context import read_settings
from workbench.cli.service import SupervisedFlag, service

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings

KEY_CONNECTIONS = 4
KEY_WAIT_SECONDS = 5.0

log = logging.getLogger(__name__)

PortOption = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port of the API, 0: any free one; else WORKBENCH_PORT.")
]


def register(app: typer.Typer) -> None:
    """Add the `serve` command."""
    app.command("serve")(run)


def run(
    port: PortOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else WORKBENCH_HOST.")] = None,
    supervised: SupervisedFlag = False,
) -> None:
    """Run the ingest API alone, until Ctrl-C or SIGTERM.

    `workbench up` runs it together with the database and the promotion loop. Run
    it by itself to have more processes of it, each on a port of its own; they
    need nothing of each other.

    Examples:
      workbench serve --port 8001
      workbench serve --host 0.0.0.0
    """
    settings = read_settings()
    settings = replace(settings, host=host or settings.host)
    with (
        service(settings, supervised=supervised) as (database, ending),
        serve_api(settings, database, port=settings.port if port is None else port) as url,
    ):
        log.info("listening at %s", url)
        ending.wait()
        log.info("ending: answering what was taken in")


@contextmanager
def serve_api(settings: Settings, database: Database, *, port: int) -> Iterator[str]:
    """The ingest API in this process, landing as the lander role; yields its base URL.

    Raises StackError where the port cannot be listened on.
    """
    import psycopg
    from psycopg_pool import ConnectionPool

    from api.app import create_app
    from api.metrics import Metrics
    from api.server import serve
    from pipeline.core.database import ServiceRole
    from pipeline.core.keys import KeyDirectory
    from pipeline.land.landing import Lander
    from pipeline.stream.embedded import EmbeddedPublisher

    lander = Lander(lambda: database.connect(ServiceRole.LANDER, application="workbench_api_landing"))
    metrics = Metrics()
    publisher = EmbeddedPublisher(
        lander.land,
        probe=_probe(database),
        queued_events=settings.limits.queued_events,
        observe=metrics.observe_landing,
    )
    metrics.watch_queue(lambda: publisher.queued)
    pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
        database.url(ServiceRole.API),
        min_size=1,
        max_size=KEY_CONNECTIONS,
        timeout=KEY_WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "application_name": "workbench_api_keys"},
        open=False,
    )
    app = create_app(publisher=publisher, keys=KeyDirectory(pool), limits=settings.limits, metrics=metrics)
    with pool, serve(app, host=settings.host, port=port) as url:
        yield url
    lander.close()


def _probe(database: Database) -> Callable[[], None]:
    from pipeline.core.database import ServiceRole

    def probe() -> None:
        database.connect(ServiceRole.LANDER, application="workbench_api_readiness").close()

    return probe
