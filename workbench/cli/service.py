"""What a long-lived process needs around its work: logs, an ending, and the database.

A supervised process is a child of `workbench up`, which has deployed the database already; it ends
with its parent, by whatever means the parent ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import DatabaseUnavailable
from workbench.cli.context import open_database
from workbench.cli.observed import observed
from workbench.cli.signals import Ending

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings

ORPHAN_GRACE_SECONDS = 8.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0

log = logging.getLogger(__name__)

SupervisedFlag = Annotated[bool, typer.Option("--supervised", hidden=True)]


@contextmanager
def service(
    settings: Settings, process: str, *, supervised: bool, patient: bool = False
) -> Iterator[tuple[Database, Ending]]:
    """The database, and the ending to wait for, of a process that runs until it is told to end.

    `process` is its name in logs and traces. A patient one waits for a configured database that does
    not answer yet; told to end meanwhile, it raises KeyboardInterrupt.
    """
    ending = Ending()
    ending.install()
    if supervised:
        ending.end_with_input(ORPHAN_GRACE_SECONDS)
    with observed(settings, process):
        if patient and settings.database_url:
            _wait_for_database(settings, ending)
        with _database(settings, supervised) as database:
            yield database, ending


@contextmanager
def _database(settings: Settings, supervised: bool) -> Iterator[Database]:
    if settings.database_url or not supervised:
        with open_database(settings) as database:
            yield database
        return
    from pipeline.core.database import Database
    from pipeline.core.embedded import EmbeddedPostgres

    # Deploying again would take locks on marts that a promotion may be writing.
    with EmbeddedPostgres(settings.home) as server:
        yield Database(admin_url=server.admin_url)


def _wait_for_database(settings: Settings, ending: Ending) -> None:
    from pipeline.core.database import Database

    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            Database(admin_url=settings.database_url or "", secret=settings.secret).connect_admin().close()
        except DatabaseUnavailable as error:
            log.warning("%s Trying again in %g s.", error.message, delay)
            if ending.wait(delay):
                raise KeyboardInterrupt from error
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
        else:
            return
