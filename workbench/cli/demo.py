"""`workbench demo`: the whole way, from events over HTTP to checked marts, and the proof that it holds."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from workbench.cli.context import DBT_DIR, open_database, read_settings
from workbench.cli.logbook import Logbook
from workbench.cli.output import note, say
from workbench.cli.running import RunningStack, find_stack
from workbench.cli.serve import PortOption
from workbench.cli.signals import interrupt_on_signals, shielded_exit, wait_for_interrupt
from workbench.cli.stack import LOGS, NotebooksFlag, print_addresses, running_stack

if TYPE_CHECKING:
    from pipeline.core.settings import Settings

ACTIVITY = DBT_DIR.parent / "examples" / "activity.ndjson.gz"


def register(app: typer.Typer) -> None:
    """Add the `demo` command."""
    app.command("demo")(run)


def run(
    leave: Annotated[
        bool, typer.Option("--exit", help="End by itself once all of it holds; else the stack goes on.")
    ] = False,
    synthetic: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Send N made-up events instead of the real ones.")
    ] = None,
    tenants: Annotated[int, typer.Option(min=1, max=5_000, help="Made-up tenants.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed makes up the same events.")] = 1,
    live: Annotated[bool, typer.Option("--live", help="Then keep sending events of this moment.")] = False,
    port: PortOption = None,
    notebooks: NotebooksFlag = True,
) -> None:
    """Show the whole way on real data: from HTTP to checked marts, per tenant.

    It starts the stack as `workbench up` does, or uses the one that runs; sends
    132,748 events of 25 tenants, from the public histories of open-source
    projects, to the ingest API; and promotes them. One more tenant is dirty on
    purpose, so that it is held while the others go through. Then it counts in
    the database that every acknowledged event is in the marts or held.

    The stack goes on until Ctrl-C, with an analyst and a steward who may sign in
    to the notebooks. The demo may run again: it continues with the same data, all
    of which are duplicates then. Exit codes: 0 all of it holds, 1 it does not,
    130 interrupted before that was known.

    Examples:
      workbench demo
      workbench demo --exit
      workbench demo --synthetic 1000000 --tenants 200 --seed 7
      workbench demo --live
    """
    from workbench.cli.demo_steps import invite, send_live_events, show
    from workbench.demonstration import activity, made_up
    from workbench.synthetic import Population

    if leave and live:
        raise typer.BadParameter("choose one of --exit and --live")
    interrupt_on_signals()
    settings = read_settings()
    settings = replace(settings, port=settings.port if port is None else port)
    population = Population(tenants=tenants, seed=seed)
    data = activity(ACTIVITY) if synthetic is None else made_up(population, synthetic)
    with shielded_exit() as parts:
        logbook = Logbook(settings.home / LOGS, aloud=False, line_format=settings.log_format)
        running = find_stack(settings.home)
        stack = running or parts.enter_context(_start(settings, logbook, notebooks=notebooks))
        database = parts.enter_context(open_database(settings))
        print_addresses(stack, settings)
        show(database, stack.url, settings, data)
        if leave:
            return
        largest = max(data.sent, key=data.sent.__getitem__)
        if stack.notebooks_url:
            invite(database, stack.notebooks_url, largest)
        print_next_steps(largest)
        if live:
            send_live_events(database, stack.url, population)
        elif running is None:
            logbook.aloud = True
            say("The stack goes on; Ctrl-C ends it, the data stays.")
            wait_for_interrupt()
            note("Ending ...")


def _start(settings: Settings, logbook: Logbook, *, notebooks: bool) -> AbstractContextManager[RunningStack]:
    note(f"Starting the stack in {settings.home.resolve()}")
    return running_stack(settings, logbook, promote_at_start=False, notebooks=notebooks)


def print_next_steps(tenant_id: str) -> None:
    """What to try on the data, with the command as it was called."""
    command = sys.argv[0]
    say("Try next, in another terminal:")
    say(f"  {command} status")
    say(f'  {command} sql --tenant {tenant_id} "table feature_adoption"')
    say(f"  {command} keys create {tenant_id}   (prints a curl command that sends an event)")
    say(f"  {command} promote   (then that event is in the marts)")
