"""`workbench replay`: the stream once more, from a moment on; what is stored already stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from pipeline.core.clock import utc_now
from pipeline.core.errors import DatabaseUnavailable, WorkbenchError
from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.moments import read_moment
from workbench.cli.output import JsonFlag, count, note, print_json, say
from workbench.cli.progress import progress_bar
from workbench.cli.signals import interrupt_on_signals, shielded
from workbench.cli.streaming import quiet_client, require_stream

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.rereading import Reread

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the `replay` command."""
    app.command("replay")(run)


def run(
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIMESTAMP", help="From this moment of the broker's clock on, or 24h: so long."),
    ],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIMESTAMP", help="Before this moment; without it, all that landed.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Land the stream again from a moment on, as far as it has landed.

    For raw data that was lost: from a restored backup, or deleted by mistake.
    What is stored already stays byte for byte as it is, and is not counted again;
    only what is missing comes back. Consumers may run meanwhile. A moment is
    written with its offset, like 2030-01-31T09:30:00Z, or as how long ago: 90m,
    24h, 7d. The broker keeps records for WORKBENCH_KAFKA_RETENTION_HOURS. Each
    replay is written to the audit log.

    Interrupted, it has landed what it told; running it again is safe.

    Examples:
      workbench replay --from 24h
      workbench replay --from 2030-01-31T09:30:00Z --to 2030-01-31T10:30:00+00:00

    Next: `workbench promote` publishes what came back.
    """
    settings = read_settings()
    require_stream(settings)
    quiet_client(settings)
    now = utc_now()
    first = read_moment(since, now, "--from")
    end = None if until is None else read_moment(until, now, "--to")
    if end is not None and end <= first:
        raise typer.BadParameter("it is not after --from", param_hint="--to")
    interrupt_on_signals()
    with open_database(settings) as database:
        reread, ended_by = _replay(settings, database, first, end)
    if as_json:
        print_json(asdict(reread) | {"complete": ended_by is None})
    else:
        say(_sentence(reread))
    if isinstance(ended_by, KeyboardInterrupt):
        note("Interrupted: what is told has landed; replaying all of it again is safe.")
        raise typer.Exit(INTERRUPTED)
    if ended_by is not None:
        raise ended_by
    if reread.stored:
        note("Next: workbench promote")


def _replay(
    settings: Settings, database: Database, since: datetime, until: datetime | None
) -> tuple[Reread, BaseException | None]:
    """Land again; what came of it, and what ended it before its time."""
    from pipeline.core.database import ServiceRole
    from pipeline.land.landing import StreamLander
    from workbench.rereading import Rereader

    lander = StreamLander(lambda: database.connect(ServiceRole.LANDER, application="workbench_replay"))
    rereader = Rereader(settings, database, lander=lander)

    def bar(total: int) -> AbstractContextManager[Callable[[], None]]:
        return progress_bar(
            "Replaying", total=total, position=lambda: rereader.reread.read, events=lambda: rereader.reread.read
        )

    ended_by: BaseException | None = None
    try:
        asyncio.run(rereader.run(since=since, until=until, bar=bar))
    except (WorkbenchError, KeyboardInterrupt) as error:
        ended_by = error
    # A database that is away is told once.
    with shielded(), suppress(*([] if ended_by is None else [DatabaseUnavailable])):
        rereader.finish(actor=actor(), since=since, until=until, complete=ended_by is None)
    return rereader.reread, ended_by


def _sentence(reread: Reread) -> str:
    return (
        f"{count(reread.read, 'record')} read again: {reread.stored:,} stored, {reread.duplicate:,} duplicate, "
        f"{reread.dead_lettered:,} dead-lettered."
    )
