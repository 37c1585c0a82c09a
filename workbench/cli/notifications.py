"""`workbench notifications`: what a webhook was told or is still to be told, and whether it listens.

Also what other commands need: the thread that delivers while a process lives, and one pass after a
command that ends at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import SettingsError, WorkbenchError
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, count, note, print_json, print_rows, say

if TYPE_CHECKING:
    import psycopg

    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from pipeline.notify.delivery import Deliverer
    from workbench.notices import Notice

APPLICATION = "workbench_notifications"
NOT_TAKEN = 1
SECONDS_AFTER_A_COMMAND = 5.0
LONGEST_ERROR = 80

commands = typer.Typer(no_args_is_help=True, help="List, deliver and test notifications to a webhook.")


class StateName(StrEnum):
    """Where a notification stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    ABANDONED = "abandoned"


def register(app: typer.Typer) -> None:
    """Add the `notifications` commands."""
    app.add_typer(commands, name="notifications")


@commands.command("list")
def show_all(
    state: Annotated[StateName | None, typer.Option(help="Only those that stand there.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest, so many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the notifications of the last 30 days, the newest first.

    There is one when a tenant comes to be held, and when a promotion fails:

      pending    not delivered yet; it is tried again at `next attempt`
      delivered  the webhook answered with 2xx
      abandoned  it answered with 410, or with nothing of use for three days

    Examples:
      workbench notifications list
      workbench notifications list --state abandoned --json

    Next: `workbench notifications test` tells whether the webhook listens.
    """
    from workbench.notices import list_notices

    with open_database(read_settings()) as database:
        notices, total = list_notices(database, state=state, limit=limit)
    if as_json:
        print_json({"total": total, "notifications": notices})
        return
    print_rows([_row(notice) for notice in notices], empty="There are no notifications.")
    if total > len(notices):
        say(f"... and {total - len(notices):,} more: --limit shows more of them.")


@commands.command("deliver")
def deliver(as_json: JsonFlag = False) -> None:
    """Deliver what is pending now, without waiting for its next attempt.

    `workbench schedule`, and so `workbench up`, delivers by itself. This is for
    after a repair, and for where Airflow or cron runs the promotions: call it
    every few minutes. Exit code 1 if something is pending afterwards.

    Example:
      workbench notifications deliver
    """
    from pipeline.notify import outbox

    settings = read_settings()
    deliverer = require_deliverer(settings)
    with open_database(settings) as database, _outbox(database) as connection:
        outbox.tidy(connection)
        outbox.hurry(connection)
        done = deliverer.deliver(connection)
        pending = outbox.count_pending(connection)
    if as_json:
        counts = {"delivered": done.delivered, "postponed": done.postponed, "abandoned": done.abandoned}
        print_json(counts | {"pending": pending, "errors": done.errors})
    else:
        say(f"{count(done.delivered, 'notification')} delivered, {done.abandoned:,} abandoned, {pending:,} pending.")
        for error in dict.fromkeys(done.errors):
            note(f"{deliverer.endpoint.host}: {error}")
    if pending:
        raise typer.Exit(NOT_TAKEN)


@commands.command("test")
def send_test(as_json: JsonFlag = False) -> None:
    """Send a signed test message to the webhook, once, and tell what it answers.

    Exit code 1 if it does not take it.

    Example:
      workbench notifications test
    """
    settings = read_settings()
    deliverer = require_deliverer(settings)
    with open_database(settings) as database, _outbox(database) as connection:
        notification, answer = deliverer.test(connection)
    if as_json:
        told = {"notification_id": notification.notification_id, "host": deliverer.endpoint.host}
        print_json(told | {"taken": answer.is_yes, "status": answer.status, "answer": answer.told})
    else:
        verdict = "took" if answer.is_yes else "did not take"
        say(f"{deliverer.endpoint.host} {verdict} test message {notification.notification_id}: {answer.told}")
    if not answer.is_yes:
        raise typer.Exit(NOT_TAKEN)


def build_deliverer(settings: Settings) -> Deliverer | None:
    """Delivery to the webhook that is set, if one is. Raises SettingsError."""
    from pipeline.notify.delivery import Deliverer
    from pipeline.notify.endpoint import Endpoint

    # They would log the whole address, once dbt has opened the root logger.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    endpoint = Endpoint.from_settings(settings.webhook)
    return None if endpoint is None else Deliverer(endpoint=endpoint)


def require_deliverer(settings: Settings) -> Deliverer:
    """The same, for who cannot do without. Raises SettingsError."""
    deliverer = build_deliverer(settings)
    if deliverer is None:
        raise SettingsError(
            "There is no webhook to tell.", remedy="Set WORKBENCH_WEBHOOK_URL and WORKBENCH_WEBHOOK_SECRET."
        )
    return deliverer


def delivering_meanwhile(database: Database, settings: Settings) -> AbstractContextManager[None]:
    """Delivers in a thread while the block runs: for a process that stays. Raises SettingsError."""
    from pipeline.notify.courier import delivering

    return delivering(lambda: connect(database), build_deliverer(settings))


def delivering_afterwards(database: Database, settings: Settings) -> AbstractContextManager[None]:
    """Delivers for a few seconds once the block has ended or raised a known error: for a command.

    What is not delivered then stays pending; the command ends as it would have. Raises SettingsError.
    """
    deliverer = build_deliverer(settings)
    return nullcontext() if deliverer is None else _afterwards(database, deliverer)


def connect(database: Database) -> psycopg.Connection:
    """A connection to the outbox. Raises DatabaseUnavailable."""
    from pipeline.core.database import ServiceRole

    return database.connect(ServiceRole.PUBLISHER, autocommit=True, application=APPLICATION)


@contextmanager
def _afterwards(database: Database, deliverer: Deliverer) -> Iterator[None]:
    try:
        yield
    except WorkbenchError:
        _deliver_briefly(database, deliverer)
        raise
    _deliver_briefly(database, deliverer)


def _deliver_briefly(database: Database, deliverer: Deliverer) -> None:
    deadline = time.monotonic() + SECONDS_AFTER_A_COMMAND
    try:
        with _outbox(database) as connection:
            errors = deliverer.deliver(connection, ending=lambda: time.monotonic() > deadline).errors
    except WorkbenchError as error:
        errors = [error.message]
    if errors:
        note(f"Not every notification was delivered to {deliverer.endpoint.host}: {errors[-1]}")
        note("Later attempts are those of `workbench schedule`, or of `workbench notifications deliver`.")


@contextmanager
def _outbox(database: Database) -> Iterator[psycopg.Connection]:
    import psycopg

    from pipeline.core.errors import DatabaseUnavailable

    try:
        with connect(database) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable("The database went away; a notification may be delivered a second time.") from error


def _row(notice: Notice) -> Row:
    error = notice.last_error or ""
    return {
        "id": notice.notification_id,
        "kind": notice.kind,
        "tenant": notice.tenant_id,
        "promotion": notice.promotion_id,
        "created": notice.created_at,
        "state": notice.state,
        "attempts": notice.attempts,
        "next attempt": notice.next_attempt_at,
        "last error": error if len(error) <= LONGEST_ERROR else f"{error[: LONGEST_ERROR - 1]}…",
    }
