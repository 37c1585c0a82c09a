"""`workbench holds`: who is held and why, and what a steward decides about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.notifications import delivering_afterwards
from workbench.cli.output import JsonFlag, count, errors, note, print_json, print_rows, say, text
from workbench.cli.promote import PARSED, TENANTS_HELD, build_promoter, build_undoer, print_promotion

if TYPE_CHECKING:
    from pipeline.promote.promotion import Promotion
    from workbench.stewardship import Failure, HeldTenant, HoldDetails

commands = typer.Typer(no_args_is_help=True, help="Who is held and why; release, discard or judge again.")

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The held tenant.")]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")]
SAMPLES_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Add the `holds` commands."""
    app.add_typer(commands, name="holds")


@commands.command("list")
def show_all(as_json: JsonFlag = False) -> None:
    """List the tenants that are held, the longest held first.

    A held tenant's customers see its last good figures, with the moment that they
    are of and the word held beside them. Events is what a decision is about;
    events landed since are judged by a later promotion.

    Examples:
      workbench holds list
      workbench holds list --json

    Next: `workbench holds show TENANT` tells why.
    """
    from workbench.stewardship import read_holds

    with open_database(read_settings()) as database:
        held = read_holds(database)
    if as_json:
        print_json(held)
    else:
        print_rows([_line(tenant) for tenant in held], empty="No tenant is held.")


@commands.command("show")
def show(tenant: TenantArgument, as_json: JsonFlag = False) -> None:
    """Show why a tenant is held: rules, failing rows, what would change.

    Examples:
      workbench holds show clock-ahead
      workbench holds show clock-ahead --json

    Next: `workbench holds release TENANT`, `discard` or `rerun`; as a page:
    `workbench quality report --tenant TENANT --html FILE`.
    """
    from workbench.stewardship import read_hold

    with open_database(read_settings()) as database:
        details = read_hold(database, tenant)
    if as_json:
        print_json(details)
    else:
        _print(details)


@commands.command("release")
def release(tenant: TenantArgument, reason: ReasonOption, as_json: JsonFlag = False) -> None:
    """Promote what a tenant is held for, although it failed.

    Exactly the events that were judged are promoted, and only the rules that held
    them may fail: events landed since wait for the next promotion, and another
    rule that fails holds the tenant again. Who released, when and why stays in
    the audit log. `workbench rollback` takes it back.

    Exit codes: 0 promoted, 3 held again, 1 failed (nothing changed).

    Example:
      workbench holds release acme --reason "Trade fair: ten times the usual volume is right."
    """
    settings = read_settings()
    with open_database(settings) as database, errors.status("Promoting"), delivering_afterwards(database, settings):
        promoter = build_promoter(database, settings, parsed_dir=settings.home / PARSED)
        promotion = promoter.release(tenant, actor=actor(), reason=reason, progress=note)
    _end(promotion, as_json=as_json)


@commands.command("rerun")
def rerun(
    tenants: Annotated[list[str], typer.Argument(metavar="TENANT...", help="Held tenants.")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the audit log.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge held tenants again, with everything that was landed for them since.

    After the cause is removed: a model, a threshold, the sender. What passes is
    promoted. It is also how a tenant goes on whose promotion was rolled back.

    Exit codes: 0 promoted, 3 held again, 1 failed (nothing changed).

    Example:
      workbench holds rerun acme globex --reason "Threshold for backfills raised."
    """
    settings = read_settings()
    with open_database(settings) as database, errors.status("Promoting"), delivering_afterwards(database, settings):
        promoter = build_promoter(database, settings, parsed_dir=settings.home / PARSED)
        promotion = promoter.rerun(tenants, actor=actor(), reason=reason, progress=note)
    _end(promotion, as_json=as_json)


@commands.command("discard")
def discard(
    tenant: TenantArgument,
    reason: ReasonOption,
    event: Annotated[
        list[UUID] | None, typer.Option(metavar="ID", help="Only this event; repeat it for more, then `rerun`.")
    ] = None,
    events_from: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only the events whose ids stand in a file, one a line.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep what a tenant is held for out of the marts, for good.

    The rows stay in raw.usage_events, marked in raw.discarded_events, and no
    promotion takes them up again, a full refresh included. With --event or
    --events-from only those are discarded, and the rest waits to be judged again.

    Examples:
      workbench holds discard acme --reason "Load test against production."
      workbench holds discard acme --event 01997e2c-8f5a-7c10-9d3e-5b7f0a1c2d3e --reason "Corrupt import."
    """
    ids = _ids(event or [], events_from)
    what = f"{count(len(ids), 'event')}" if ids is not None else "everything"
    if not yes:
        typer.confirm(f"Discard {what} that {tenant} is held for, for good?", abort=True, err=True)
    with open_database(read_settings()) as database:
        discarded = build_undoer(database).discard(tenant, actor=actor(), reason=reason, events=ids, progress=note)
    if as_json:
        print_json(discarded)
        return
    say(f"{count(discarded.events, 'event')} of {tenant} discarded; they stay in raw, and out of the marts.")
    if not discarded.closed:
        note(f"The rest waits: workbench holds rerun {tenant}")


def _ids(given: Sequence[UUID], file: Path | None) -> list[UUID] | None:
    """The events that are meant; None for all."""
    if file is None:
        return list(given) or None
    try:
        lines = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}", param_hint="--events-from") from error
    try:
        ids = [*given, *map(UUID, lines)]
    except ValueError as error:
        raise typer.BadParameter(f"{file} holds something that is no event id", param_hint="--events-from") from error
    if not ids:
        raise typer.BadParameter(f"{file} names no event", param_hint="--events-from")
    return ids


def _end(promotion: Promotion, *, as_json: bool) -> None:
    if as_json:
        print_json(promotion)
    else:
        print_promotion(promotion)
    if promotion.held:
        raise typer.Exit(TENANTS_HELD)


def _line(held: HeldTenant) -> dict[str, object]:
    return {
        "tenant": held.tenant_id,
        "held since": held.held_since,
        "for": held.verdict.replace("_", " "),
        "by promotion": held.promotion_id,
        "events": held.events,
        "landed since": held.events_since,
        "figures as of": held.as_of,
        "rules": held.rules,
    }


def _print(details: HoldDetails) -> None:
    held = details.hold
    print_rows([_line(held)])
    if held.cause == "rollback":
        say(f"Promotion {held.promotion_id} was undone for it; it waits until somebody decides.")
    for failure in details.failures:
        _print_failure(failure)
    if details.difference:
        rows = [
            {"mart": row.mart, "new rows": row.inserted, "changed": row.updated, "gone": row.deleted}
            for row in details.difference
        ]
        print_rows(rows, title="What a release would change in its last good figures")
    if details.decisions:
        rows = [
            {"at": each.at, "who": each.actor, "did": each.action, "why": (each.details or {}).get("reason")}
            for each in details.decisions
        ]
        print_rows(rows, title="What was done before")
    note(f"Next: workbench holds release {held.tenant_id} --reason ..., discard, or rerun.")


def _print_failure(failure: Failure) -> None:
    weight = "stops" if failure.severity == "stop" else "warns"
    say(f"{failure.boundary}: {failure.rule} {weight}. {failure.detail}")
    samples = [
        {key: value if isinstance(value, (int, float)) else _short(value) for key, value in sample.items()}
        for sample in failure.samples[:SAMPLES_SHOWN]
    ]
    if samples:
        columns = list(dict.fromkeys(key for sample in samples for key in sample))
        print_rows([{column: sample.get(column) for column in columns} for sample in samples])
    if failure.failing_rows > len(samples):
        note(f"{failure.failing_rows - len(samples):,} more rows fail; --json shows up to 20.")


def _short(value: object) -> str:
    shown = value if isinstance(value, str) else text(value) if value is None else json.dumps(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
