"""`workbench status`: what became of every event, and how the last promotion went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from msgspec.structs import asdict

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, count, note, print_json, print_rows, say, text
from workbench.cli.running import find_stack
from workbench.cli.streaming import stream_counter

if TYPE_CHECKING:
    from workbench.cli.running import RunningStack
    from workbench.overview import LastPromotion, Overview, StreamStatus


def register(app: typer.Typer) -> None:
    """Add the `status` command."""
    app.command("status")(show)


def show(as_json: JsonFlag = False) -> None:
    """Show what became of every event, and how the last promotion went.

    Per tenant and in total: events accepted by the API, and of these stored,
    duplicates, dead-lettered (kept with the reason) and in flight; accepted
    always equals the other four together. In flight are only events on their way
    through Kafka: in the topic and not landed, or in a spool of this machine.
    Pending are stored, but not in the marts yet; discarded are kept out of them
    by a steward. A held tenant's marts stay at the moment in column as_of until
    its data passes, or a steward decides.

    Examples:
      workbench status
      workbench status --json

    Next: `workbench promote` publishes what is pending, `workbench ledger` tells
    the same by the hour.
    """
    from workbench.overview import read_overview

    settings = read_settings()
    stack = find_stack(settings.home)
    with open_database(settings) as database, stream_counter(settings) as stream:
        overview = read_overview(database, stream=stream)
    if as_json:
        print_json({"stack": stack} | asdict(overview))
    else:
        _print(stack, overview)


def _print(stack: RunningStack | None, overview: Overview) -> None:
    say(f"Stack: running at {stack.url}." if stack else "Stack: not running; `workbench up` starts it.")
    say(_sentence(overview.last_promotion))
    if not overview.tenants:
        say("There are no tenants yet: workbench tenants add TENANT.")
    else:
        _print_tenants(overview)
    if overview.stream:
        _warn(overview.stream)


def _print_tenants(overview: Overview) -> None:
    total = (
        {"tenant_id": "total", "status": ""} | asdict(overview.total) | {"as_of": None, "held": None, "held_by": None}
    )
    print_rows([*(asdict(tenant) for tenant in overview.tenants), total])
    if overview.reasons:
        print_rows([asdict(reason) for reason in overview.reasons], title="Held, and why")


def _warn(stream: StreamStatus) -> None:
    if stream.problem:
        note(f"Warning: what is in flight is not known. {stream.problem}")
    for gap in stream.gaps:
        note(
            f"Warning: {count(gap.records, 'record')} of {gap.topic}, partition {gap.partition}, from offset "
            f"{gap.first_offset}, were removed by the broker before they landed (found {text(gap.found_at)})."
        )


def _sentence(promotion: LastPromotion | None) -> str:
    if promotion is None:
        return "Last promotion: none yet; `workbench promote` runs one."
    outcome = f"promoted {count(promotion.promoted, 'tenant')}, held {promotion.held:,}"
    if promotion.state == "failed":
        outcome = f"readers keep what they had: {promotion.error}"
    return f"Last promotion: {promotion.promotion_id}, {promotion.state}, as of {text(promotion.as_of)}: {outcome}."
