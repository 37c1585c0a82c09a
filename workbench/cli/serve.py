"""`workbench serve`: the ingest API as a process. Composes it from settings and the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from workbench.cli.context import read_settings
from workbench.cli.embedding import embeds_desk
from workbench.cli.service import SupervisedFlag, service

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from api.metrics import Metrics
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from pipeline.stream.port import Publisher

SPOOL = "spool"
"""The folder in the home folder where events wait for the broker."""
KEY_CONNECTIONS = 4
KEY_WAIT_SECONDS = 5.0
FIGURES_OPTIONS = "-c timezone=UTC -c statement_timeout=15s -c idle_in_transaction_session_timeout=30s"

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
        service(settings, "api", supervised=supervised) as (database, ending),
        serve_api(settings, database, port=settings.port if port is None else port) as url,
    ):
        log.info("listening at %s", url)
        ending.wait()
        log.info("ending: answering what was taken in")


@contextmanager
def serve_api(settings: Settings, database: Database, *, port: int) -> Iterator[str]:
    """The ingest API in this process, publishing to Kafka or landing by itself; yields its base URL.

    Raises StackError where the port cannot be listened on, SettingsError where Kafka's settings
    cannot work.
    """
    from psycopg_pool import ConnectionPool

    from api.app import create_app
    from api.metrics import Metrics
    from api.server import serve
    from pipeline.core.database import GIVE_UP_ON_SILENCE, ServiceRole
    from pipeline.core.keys import KeyDirectory
    from pipeline.core.metrics.reading import PublishedFigures

    metrics = Metrics()
    pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
        database.url(ServiceRole.API),
        min_size=1,
        max_size=KEY_CONNECTIONS,
        timeout=KEY_WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "application_name": "workbench_api_keys", **GIVE_UP_ON_SILENCE},
        open=False,
    )
    figures = _figures(database)
    with _publisher(settings, database, metrics) as publisher, embeds_desk(settings, database) as embeds:
        app = create_app(
            publisher=publisher,
            keys=KeyDirectory(pool),
            figures=PublishedFigures(figures),
            embeds=embeds,
            limits=settings.limits,
            metrics=metrics,
        )
        with pool, figures, serve(app, host=settings.host, port=port) as url:
            yield url


def _figures(database: Database) -> ConnectionPool[psycopg.Connection]:
    """Connections that read figures, where tenants read; those that verify keys never wait for them."""
    from psycopg_pool import ConnectionPool

    from api.measures import AT_ONCE
    from pipeline.core.database import GIVE_UP_ON_SILENCE, ServiceRole
    from pipeline.core.metrics.reading import only_reading

    return ConnectionPool(
        database.reading_url(ServiceRole.API.value),
        min_size=0,
        max_size=AT_ONCE,
        timeout=KEY_WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        configure=only_reading,
        kwargs={"application_name": "workbench_api_figures", "options": FIGURES_OPTIONS, **GIVE_UP_ON_SILENCE},
        open=False,
    )


@contextmanager
def _publisher(settings: Settings, database: Database, metrics: Metrics) -> Iterator[Publisher]:
    if settings.kafka_bootstrap_servers:
        from pipeline.stream.kafka import KafkaPublisher
        from pipeline.stream.spool import Spool

        spool = Spool(settings.home / SPOOL, most_bytes=settings.kafka.spool_bytes)
        kafka = KafkaPublisher(settings, spool=spool, observe=metrics.observe_group)
        metrics.watch_queue(lambda: kafka.queued)
        metrics.watch_spool(events=lambda: kafka.spooled_events, size=lambda: kafka.spooled_bytes)
        yield kafka
        return
    from pipeline.core.database import ServiceRole
    from pipeline.land.landing import Lander
    from pipeline.stream.embedded import EmbeddedPublisher

    lander = Lander(lambda: database.connect(ServiceRole.LANDER, application="workbench_api_landing"))
    embedded = EmbeddedPublisher(
        lander.land,
        probe=_probe(database),
        queued_events=settings.limits.queued_events,
        observe=metrics.observe_group,
    )
    metrics.watch_queue(lambda: embedded.queued)
    yield embedded
    lander.close()


def _probe(database: Database) -> Callable[[], None]:
    from pipeline.core.database import ServiceRole

    def probe() -> None:
        database.connect(ServiceRole.LANDER, application="workbench_api_readiness").close()

    return probe
