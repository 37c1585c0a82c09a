"""`workbench up`: the stack, which is the database, the API, the promotion loop, and with Kafka a consumer.

The stack's own process runs none of them: it starts them, starts them again when they end, passes
their lines on, and ends them. What it knows is in `supervisor.py`, `database_watch.py` and `hold.py`.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from pipeline.core.clock import utc_now
from pipeline.core.errors import StackError
from workbench.cli.context import open_database, read_settings
from workbench.cli.hold import hold_stack
from workbench.cli.logbook import Logbook
from workbench.cli.output import note, say
from workbench.cli.running import RunningStack
from workbench.cli.serve import PortOption
from workbench.cli.signals import Ending, shielded_exit
from workbench.cli.supervisor import Supervisor

if TYPE_CHECKING:
    import httpx

    from pipeline.core.settings import Settings

READY_SECONDS = 60.0
SECONDS_BETWEEN_LOOKS = 0.1
WORKBENCH = (sys.executable, "-P", "-m", "workbench")
LOGS = "logs"
NOTEBOOKS_PORT = "WORKBENCH_NOTEBOOKS_PORT"


def register(app: typer.Typer) -> None:
    """Add the `up` command."""
    app.command("up")(run)


NotebooksFlag = Annotated[bool, typer.Option("--notebooks/--no-notebooks", help="Serve the notebooks, too.")]


def run(port: PortOption = None, notebooks: NotebooksFlag = True) -> None:
    """Run database, ingest API, hourly promotions and notebooks, until Ctrl-C.

    Without DATABASE_URL the database is an embedded PostgreSQL in the folder
    .workbench, which is made at the first start and kept. Logs come to this
    terminal and into .workbench/logs. Whatever ends by itself is started again.
    There is one stack per folder; other commands find it by themselves.

    With KAFKA_BOOTSTRAP_SERVERS set, the API publishes to Kafka and a consumer
    lands: `workbench consume` in other terminals, or on other machines, adds more
    of them. Kafka itself is not started here.

    Examples:
      workbench up
      workbench up --port 8001
      KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 workbench up

    Next, in another terminal: `workbench tenants add acme`, then
    `workbench keys create acme`, or `workbench demo` for real data.
    """
    settings = read_settings()
    settings = replace(settings, port=settings.port if port is None else port)
    ending = Ending()
    ending.install()
    logbook = Logbook(settings.home / LOGS, aloud=True, line_format=settings.log_format)
    with running_stack(settings, logbook, notebooks=notebooks) as stack:
        print_addresses(stack, settings)
        say("Try next, in another terminal: workbench tenants add acme, then workbench keys create acme")
        say("Ctrl-C ends everything; the data stays.")
        ending.wait()
        note("Ending ...")
    note("Ended.")


@contextmanager
def running_stack(
    settings: Settings,
    logbook: Logbook,
    *,
    promote_at_start: bool = True,
    notebooks: bool = True,
) -> Iterator[RunningStack]:
    """The whole stack while the block runs, ready when the block begins.

    What is pending is promoted at once, unless the caller is going to do that.
    Raises StackRunning if there is one on this folder, StackError if a part does not start, and
    what `open_database` raises. Main thread only: the ending is shielded from signals.
    """
    with shielded_exit() as parts:
        hold = parts.enter_context(hold_stack(settings.home))
        parts.callback(logbook.close)
        port = choose_port(settings.host, settings.port)
        served = choose_port(settings.notebooks.host, settings.notebooks.port, NOTEBOOKS_PORT) if notebooks else None
        parts.enter_context(open_database(settings))
        if not settings.database_url:
            from workbench.cli.database_watch import DatabaseWatch

            parts.enter_context(DatabaseWatch(settings.home, tell=logbook))
        commands = _commands(settings, port, "--at-start" if promote_at_start else "--no-at-start")
        if served is not None:
            commands["notebooks"] = (*WORKBENCH, "notebooks", "--supervised", "--port", str(served))
        supervisor = parts.enter_context(Supervisor(commands, tell=logbook))
        stack = RunningStack(
            pid=os.getpid(),
            url=_url(settings.host, port),
            started_at=utc_now(),
            notebooks_url=None if served is None else _url(settings.notebooks.host, served),
        )
        _wait_until_ready(f"{stack.url}/readyz", supervisor)
        if stack.notebooks_url:
            _wait_until_ready(f"{stack.notebooks_url}/healthz", supervisor)
        hold.publish(stack)
        yield stack


def print_addresses(stack: RunningStack, settings: Settings) -> None:
    """Where the parts of a running stack are."""
    database = "DATABASE_URL" if settings.database_url else str((settings.home / "postgres").resolve())
    say(f"Ingest API   {stack.url}/v1/events   (also /readyz, /metrics, /openapi.json)")
    if settings.kafka_bootstrap_servers:
        say(f"Kafka        {settings.kafka_bootstrap_servers}, topic {settings.kafka.topic}   (workbench status)")
    if settings.kafka_bootstrap_servers and settings.consume_metrics_port:
        say(f"Landing      {_url(settings.host, settings.consume_metrics_port)}/metrics")
    if stack.notebooks_url:
        say(f"Notebooks    {stack.notebooks_url}   (workbench users add: somebody who may sign in)")
    say(f"Database     {database}   (workbench db url)")
    say(f"Promotions   every {settings.promote_every_seconds:,} s   (workbench promote: one now)")
    say(f"Logs         {(settings.home / LOGS).resolve()}")


def choose_port(host: str, port: int, how: str = "--port") -> int:
    """The port itself, or a free one for 0. Raises StackError, telling how another is chosen, if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise StackError(
            f"Port {port} of {host} cannot be listened on: {error.strerror}.",
            remedy=f"End what listens there, or choose another port with {how}; 0 takes a free one.",
        ) from error


def _commands(settings: Settings, port: int, at_start: str) -> dict[str, tuple[str, ...]]:
    commands = {
        "api": (*WORKBENCH, "serve", "--supervised", "--host", settings.host, "--port", str(port)),
        "schedule": (*WORKBENCH, "schedule", "--supervised", at_start),
    }
    if settings.kafka_bootstrap_servers:
        commands["consume"] = (*WORKBENCH, "consume", "--supervised")
    return commands


def _wait_until_ready(url: str, supervisor: Supervisor) -> None:
    import httpx

    deadline = time.monotonic() + READY_SECONDS
    # One client, since making one is costly; and no proxy of the environment: it is this machine.
    with httpx.Client(timeout=10, trust_env=False) as http:
        while not _is_ready(http, url):
            supervisor.require_steady()
            if time.monotonic() > deadline:
                message = f"{url} is not ready after {READY_SECONDS:g} seconds."
                raise StackError(message, remedy="Its log says why.")
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _is_ready(http: httpx.Client, url: str) -> bool:
    import httpx

    try:
        return http.get(url).is_success
    except httpx.TransportError:
        return False


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
