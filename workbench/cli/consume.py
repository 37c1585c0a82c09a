"""`workbench consume`: landing the stream, as a process. Composes it from settings and the database."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.clock import utc_now
from pipeline.core.slots import claimed_slot
from workbench.cli.context import read_settings
from workbench.cli.output import console
from workbench.cli.serve import SPOOL
from workbench.cli.service import SupervisedFlag, service
from workbench.cli.streaming import quiet_client, require_stream

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from pipeline.stream.consumer import StreamConsumer
    from pipeline.stream.consumption import Landed
    from workbench.cli.signals import Ending
    from workbench.consuming.figures import Figures
    from workbench.consuming.standing import Standing

SLOT = "consumer"
MEMBER = re.compile(r"[A-Za-z0-9._-]{1,200}")
NOT_IN_MEMBERS = re.compile(r"[^A-Za-z0-9._-]")
FORCE_SECONDS = 20.0
"""How long the end waits for a landing under way; cut off, it is landed anew by whoever is next."""

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the `consume` command."""
    app.command("consume")(run)


def run(
    member: Annotated[
        str | None,
        typer.Option(help="Its name in the consumer group; without it, one made of the host, the folder and a number."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port of its metrics; else WORKBENCH_CONSUME_METRICS_PORT."),
    ] = None,
    supervised: SupervisedFlag = False,
) -> None:
    """Land what the API published to Kafka, until Ctrl-C or SIGTERM.

    Run as many as you like, on any machine: they share the partitions of the
    topic, and each event is stored once, whatever dies in between. How far the
    topic has landed is kept in the database, in the transaction that stores the
    events. The broker or the database being away is waited out.

    In a terminal it shows the lag of each partition, the rate, and the time from
    acceptance to storage. A member keeps its name over restarts and so gets its
    partitions back; processes that share a name take them from each other.
    With --metrics-port it serves /metrics to Prometheus.

    Examples:
      workbench consume
      workbench consume --metrics-port 9101
      workbench consume --member landing-2

    Next: `workbench status` tells what is still in flight.
    """
    settings = read_settings()
    require_stream(settings)
    if member is not None and (not MEMBER.fullmatch(member) or set(member) == {"."}):
        raise typer.BadParameter("use up to 200 letters, digits, dots, dashes and underscores", param_hint="--member")
    # Told to end while it begins or ends, it leaves at once: what is not landed stays in the stream.
    with (
        suppress(KeyboardInterrupt),
        _named(member, settings.home) as name,
        service(settings, "consume", supervised=supervised, patient=True) as (database, ending),
    ):
        quiet_client(settings)
        ending.end_by_force(FORCE_SECONDS)
        port = metrics_port or settings.consume_metrics_port
        _consume(settings, database, ending, member=name, metrics_port=port, live=_is_live(supervised))


def _consume(
    settings: Settings, database: Database, ending: Ending, *, member: str, metrics_port: int | None, live: bool
) -> None:
    from pipeline.core.database import ServiceRole
    from pipeline.land.landing import StreamLander
    from pipeline.stream.consumer import StreamConsumer
    from workbench.consuming.figures import Figures
    from workbench.consuming.standing import Standing

    figures = Figures()
    standing = Standing(settings, database, spool=settings.home / SPOOL)
    with _observer(settings, figures, standing, metrics_port) as observe:
        consumer = StreamConsumer(
            settings,
            landing=StreamLander(lambda: database.connect(ServiceRole.LANDER, application="workbench_consumer")),
            member=member,
            observe=observe,
        )
        log.info("landing %s as member %s of group %s", settings.kafka.topic, member, settings.kafka.group)
        with _shown(figures, standing, f"{settings.kafka.topic}, member {member}", live=live) as tell:
            asyncio.run(_run(consumer, ending, tell))
    log.info("ended; landed %s records", f"{figures.records:,}")


async def _run(consumer: StreamConsumer, ending: Ending, tell: Callable[[], float]) -> None:
    """Consume until the ending, telling the figures as often as `tell` wants."""
    stop = asyncio.Event()

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(tell())

    telling = asyncio.create_task(keep_telling())
    with ending.heard_by_loop(stop.set):
        try:
            await consumer.run(stop)
        finally:
            telling.cancel()
            tell()


@contextmanager
def _observer(
    settings: Settings, figures: Figures, standing: Standing, metrics_port: int | None
) -> Iterator[Callable[[Landed], None]]:
    """What is told of each delivery that is durable; with a port, metrics are served meanwhile."""
    from workbench.consuming.delays import sample_delays

    if metrics_port is None:
        yield lambda landed: figures.observe(landed, sample_delays(landed.delivery, utc_now()))
        return
    from workbench.consuming.metrics import ConsumerMetrics, served

    metrics = ConsumerMetrics(standing, figures.delays)

    def observe(landed: Landed) -> None:
        samples = sample_delays(landed.delivery, utc_now())
        figures.observe(landed, samples)
        metrics.observe(landed, samples)

    with served(metrics, host=settings.consume_metrics_host, port=metrics_port) as url:
        log.info("metrics at %s", url)
        yield observe


@contextmanager
def _shown(figures: Figures, standing: Standing, title: str, *, live: bool) -> Iterator[Callable[[], float]]:
    """Show the figures in the terminal or the log; yields what shows them anew and answers when to call it again."""
    from workbench.cli.consume_view import LiveView, LogLines

    if not live:
        yield LogLines(figures, standing, log)
        return
    with LiveView(figures, standing, title) as view:
        yield view


@contextmanager
def _named(member: str | None, home: Path) -> Iterator[str]:
    """The member's name: the one that is given, or one that no other process of this home folder has."""
    if member is not None:
        yield member
        return
    with claimed_slot(home, SLOT) as number:
        # The folder's name is in it, since two folders on one host have the same numbers.
        folder = blake2b(bytes(home.resolve()), digest_size=4).hexdigest()
        yield f"{NOT_IN_MEMBERS.sub('-', socket.gethostname())}-{folder}-{number}"


def _is_live(supervised: bool) -> bool:
    return console.is_terminal and not supervised
