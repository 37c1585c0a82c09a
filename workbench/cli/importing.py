"""`workbench import`: an export, line by line, through the HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from pipeline.core.errors import WorkbenchError
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, note, print_json
from workbench.cli.progress import progress_bar
from workbench.cli.running import find_stack
from workbench.cli.serve import serve_api
from workbench.cli.signals import interrupt_on_signals, shielded_exit

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.importing.account import Account
    from workbench.importing.lines import AnyLine
    from workbench.importing.transfer import Pace

NOT_ALL_TAKEN = 1
INTERRUPTED = 130
ANY_FREE_PORT = 0


def register(app: typer.Typer) -> None:
    """Add the `import` command."""
    app.command("import")(run)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, also in gzip; - is standard input.")],
    tenant_field: Annotated[str, typer.Option(help="The field that names a line's tenant.")] = "tenant_id",
    create_tenants: Annotated[
        bool, typer.Option("--create-tenants", help="Add tenants that are not there yet.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=5_000, help="Events per request.")] = 500,
    in_flight: Annotated[int, typer.Option(min=1, max=64, help="Requests at once.")] = 4,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the lines that are not taken here, as they are.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send an export through the HTTP API, and account for every line.

    Each line is a JSON object: an event with one field more, which names its
    tenant. The stack that runs is used; where none does, the API runs for as
    long as the import takes. Keys are made for it and revoked at the end. Broken
    connections and full queues are waited out. A second import of the same file
    is all duplicates, if its events have an event_id.

    Exit codes: 0 all is stored, 1 lines were not taken or the import gave up,
    130 interrupted. In each case importing the file again is safe.

    Examples:
      workbench import examples/activity.ndjson.gz --create-tenants
      zcat export.gz | workbench import - --tenant-field account --rejects bad.ndjson

    Next: `workbench promote` checks what arrived and publishes it.
    """
    from uuid_utils.compat import uuid7

    from workbench.cli.accounts import document, print_account
    from workbench.importing.account import Account
    from workbench.importing.lines import read_lines
    from workbench.importing.source import open_source
    from workbench.importing.transfer import Pace

    if rejects is not None and rejects.exists() and file.exists() and rejects.samefile(file):
        raise typer.BadParameter("--rejects names the export itself")
    interrupt_on_signals()
    started, pace = time.monotonic(), Pace(batch=batch, in_flight=in_flight)
    with open_source(file) as source, open_rejects(rejects) as on_bad:
        account = Account(on_bad)
        lines = read_lines(source, tenant_field=tenant_field, new_id=uuid7)
        bar = progress_bar(file.name, total=source.total, position=source.position, events=account.settled)
        ended_by = _send(read_settings(), lines, account, pace, bar, create_tenants=create_tenants)
    seconds = time.monotonic() - started
    if as_json:
        print_json(document(account, seconds))
    else:
        print_account(account, seconds)
    _leave(account, ended_by)


def _send(
    settings: Settings,
    lines: Iterable[AnyLine],
    account: Account,
    pace: Pace,
    bar: AbstractContextManager[Callable[[], None]],
    *,
    create_tenants: bool,
) -> BaseException | None:
    """Send the lines; what ended that before its time, so that the account is told first."""
    from workbench.importing.keys import temporary_keys
    from workbench.importing.transfer import transfer

    with shielded_exit() as parts:
        database = parts.enter_context(open_database(settings))
        url = parts.enter_context(ready_api(settings, database))
        keys = parts.enter_context(temporary_keys(database, create_tenants=create_tenants))
        try:
            with bar as advance:
                transfer(lines, url=url, keys=keys, account=account, pace=pace, advance=advance)
        except (WorkbenchError, KeyboardInterrupt) as error:
            return error
    return None


def _leave(account: Account, ended_by: BaseException | None) -> None:
    if isinstance(ended_by, KeyboardInterrupt):
        raise typer.Exit(INTERRUPTED)
    if ended_by is not None:
        raise ended_by
    if account.total().bad:
        raise typer.Exit(NOT_ALL_TAKEN)


@contextmanager
def ready_api(settings: Settings, database: Database) -> Iterator[str]:
    """The base URL of the stack that runs, or of an API that runs in this process for the block."""
    stack = find_stack(settings.home)
    if stack is not None:
        yield stack.url
        return
    with ExitStack() as parts:
        if not settings.database_url:
            from workbench.cli.database_watch import DatabaseWatch

            parts.enter_context(DatabaseWatch(settings.home, tell=lambda name, line: note(f"{name} {line}")))
        yield parts.enter_context(serve_api(settings, database, port=ANY_FREE_PORT))


@contextmanager
def open_rejects(path: Path | None) -> Iterator[Callable[[AnyLine], None] | None]:
    """What keeps a bad line, as it is, in the file at this path; without a path, nothing does."""
    if path is None:
        yield None
        return
    with path.open("wb") as file:
        yield lambda line: _keep(file, line)


def _keep(file: BinaryIO, line: AnyLine) -> None:
    file.write(line.original if line.original.endswith(b"\n") else line.original + b"\n")
