"""`workbench ledger`: by tenant and hour, what was accepted and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.clock import utc_now
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, note, print_json, print_rows
from workbench.cli.streaming import stream_counter

if TYPE_CHECKING:
    from workbench.accounting.ledger import LedgerHour

FIGURES = ("accepted", "stored", "duplicate", "dead_lettered", "in_flight")


def register(app: typer.Typer) -> None:
    """Add the `ledger` command."""
    app.command("ledger")(show)


def show(
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=87_600, help="So many hours back, the current one included.")] = 24,
    as_json: JsonFlag = False,
) -> None:
    """Show what was accepted per tenant and hour, and what became of it.

    The hour is the one in which the API received an event, in UTC. In each line
    accepted = stored + duplicate + dead_lettered + in_flight: what does not add
    up is refused by the database, so nothing gets lost without a trace. In
    flight are events on their way through Kafka, counted by reading them.

    Examples:
      workbench ledger
      workbench ledger --tenant acme --hours 168 --json

    Next: `workbench deadletters list` shows what could not be stored, and why.
    """
    from workbench.accounting.ledger import read_ledger

    settings = read_settings()
    since = utc_now() - timedelta(hours=hours - 1)
    with open_database(settings) as database, stream_counter(settings) as stream:
        ledger = read_ledger(database, since=since, tenant_id=tenant, stream=stream)
    if as_json:
        print_json(ledger)
    else:
        print_rows(_rows(ledger.hours), empty="Nothing was accepted in these hours.")
    if ledger.problem:
        note(f"Warning: what is in flight is not known, and not part of what is accepted here. {ledger.problem}")


def _rows(hours: Sequence[LedgerHour]) -> list[dict[str, object]]:
    """The lines for people, and their sum."""
    rows = [{"hour": row.hour.strftime("%Y-%m-%d %H:%MZ"), "tenant": row.tenant_id} | _figures(row) for row in hours]
    if not rows:
        return []
    columns = {name: [getattr(row, name) for row in hours] for name in FIGURES}
    sums = {name: None if None in values else sum(values) for name, values in columns.items()}
    return [*rows, {"hour": "total", "tenant": ""} | sums]


def _figures(row: LedgerHour) -> dict[str, object]:
    return {name: getattr(row, name) for name in FIGURES}
