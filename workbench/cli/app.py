"""The `workbench` command: which commands there are, and how any of them ends.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 promoted but tenants are held, 4 the checks could not
judge, 75 failed and to be tried again (the EX_TEMPFAIL of sysexits.h), 130 interrupted. An error that
we know is a message and its remedy; anything else is a defect and shows its traceback.
What the commands do is in the modules beside this one, which import heavy libraries late: help must
not wait for them.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.core.errors import WorkbenchError
from workbench.cli import (
    consume,
    db,
    dead_letters,
    demo,
    doctor,
    embeds,
    holds,
    importing,
    keys,
    ledger,
    metabase,
    metrics,
    notebook,
    notebooks,
    notifications,
    promote,
    promotions,
    quality,
    replay,
    report,
    schedule,
    serve,
    sql,
    stack,
    status,
    tenants,
    thresholds,
    topic,
    users,
)
from workbench.cli.output import print_error, say

FAILED = 1
TRY_AGAIN = 75
ORDER = (
    *("up", "demo", "import", "promote", "status", "holds", "promotions", "rollback"),
    *("quality", "report", "thresholds"),
    *("ledger", "tenants", "keys", "users", "sql", "notebooks", "notebook"),
    *("deadletters", "replay", "notifications", "db", "doctor", "serve", "topic", "consume", "schedule", "metrics"),
    *("metabase", "embeds"),
)


class Commands(TyperGroup):
    """The commands, whose known errors end as a message and a remedy."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order in which people come to need them."""
        return sorted(super().list_commands(ctx), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except WorkbenchError as error:
            print_error(error)
            raise typer.Exit(TRY_AGAIN if error.retryable else FAILED) from error


app = typer.Typer(
    name="workbench",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"workbench {version('analytics-workbench')}")
        raise typer.Exit


@app.callback()
def workbench(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Product-usage analytics for many tenants, each of which sees its own alone.

    Begin with `workbench demo`: it starts everything and shows real data of 25
    tenants on its way from HTTP to checked marts. Or step by step:

      workbench up                  # the stack, in a terminal of its own
      workbench tenants add acme
      workbench keys create acme    # then send events with the key
      workbench promote             # check what arrived, publish what passes
      workbench sql --tenant acme "table dim_users"

    Without DATABASE_URL everything lives in an embedded PostgreSQL, in the
    folder .workbench; without KAFKA_BOOTSTRAP_SERVERS the API lands events by
    itself. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 promoted but tenants
    are held, 4 the checks could not judge, 75 failed but worth another try (the
    database is away, another promotion runs), 130 interrupted.
    """


INTAKE = (stack, demo, importing, promote, status, holds, promotions)
JUDGEMENT = (quality, report, thresholds)
DATA = (ledger, tenants, keys, users, sql, notebooks, notebook)
UPKEEP = (dead_letters, replay, notifications, db, doctor, serve, topic, consume, schedule, metrics, metabase, embeds)
for command in (*INTAKE, *JUDGEMENT, *DATA, *UPKEEP):
    command.register(app)


def main() -> None:
    """The entry point of the `workbench` script."""
    app()
