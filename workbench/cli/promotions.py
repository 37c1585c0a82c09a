"""`workbench promotions` and `workbench rollback`: what promotions changed, and taking one back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.actor import actor
from workbench.cli.context import DBT_DIR, open_database, read_settings
from workbench.cli.output import JsonFlag, count, errors, note, print_json, print_rows, say, text
from workbench.cli.promote import build_undoer

if TYPE_CHECKING:
    from pipeline.promote.undo import Rollback
    from workbench.promotions import Change, PromotionLine, RowChange, TenantLine

commands = typer.Typer(no_args_is_help=True, help="Which promotions there were, and what they changed.")

IdArgument = Annotated[int, typer.Argument(metavar="PROMOTION", help="A promotion's number.")]
TENANTS_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the `promotions` commands and `rollback`."""
    app.add_typer(commands, name="promotions")
    app.command("rollback")(rollback)


@commands.command("list")
def show_all(
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only those that took it up.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest, so many.")] = 20,
    idle: Annotated[bool, typer.Option("--idle", help="Also those that found nothing new.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List promotions, the newest first.

    Examples:
      workbench promotions list
      workbench promotions list --tenant acme --limit 100 --json
    """
    from workbench.promotions import read_promotions

    with open_database(read_settings()) as database:
        promotions = read_promotions(database, tenant_id=tenant, most=limit, idle=idle)
    if as_json:
        print_json(promotions)
    else:
        print_rows([_line(promotion) for promotion in promotions], empty="There was no promotion yet.")


@commands.command("show")
def show(promotion: IdArgument, as_json: JsonFlag = False) -> None:
    """Show a promotion and its tenants, those that it held first.

    Examples:
      workbench promotions show 12
      workbench promotions show 12 --json

    Next: `workbench promotions diff 12` tells what it changed, `workbench quality
    report --promotion 12` what was checked.
    """
    from workbench.promotions import read_promotion

    with open_database(read_settings()) as database:
        shown = read_promotion(database, promotion)
    if as_json:
        print_json(shown)
        return
    print_rows([_line(shown.promotion)])
    if shown.promotion.request_key:
        say(f"Asked for by the key {shown.promotion.request_key}.")
    if shown.promotion.error:
        say(shown.promotion.error)
    print_rows([_tenant(tenant) for tenant in shown.tenants[:TENANTS_SHOWN]], empty="It took up no tenant.")
    if len(shown.tenants) > TENANTS_SHOWN:
        note(f"... and {len(shown.tenants) - TENANTS_SHOWN:,} more tenants: --json lists them all.")


@commands.command("diff")
def diff(
    promotion: IdArgument,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant, with rows.")] = None,
    mart: Annotated[str | None, typer.Option(metavar="MART", help="Only this mart.")] = None,
    rows: Annotated[
        int, typer.Option(min=0, max=10_000, help="With --tenant: rows of each mart, before and after.")
    ] = 5,
    as_json: JsonFlag = False,
) -> None:
    """Show what a promotion changed in the marts, per mart and tenant.

    Of a held tenant it is what would have changed. With --tenant, rows are shown
    as they were before and as the promotion left them, while it can be undone.

    Examples:
      workbench promotions diff 12
      workbench promotions diff 12 --tenant acme --mart tenant_usage_metrics --rows 20
    """
    from pipeline.promote.marts import read_marts
    from workbench.promotions import read_changes, read_row_changes

    marts = [each for each in read_marts(DBT_DIR) if mart in (None, each.name)]
    if not marts:
        names = ", ".join(each.name for each in read_marts(DBT_DIR))
        raise typer.BadParameter(f"there is no mart {mart}; there are {names}", param_hint="--mart")
    with open_database(read_settings()) as database:
        changes = read_changes(database, promotion, tenant_id=tenant, mart=mart)
        changed = (
            read_row_changes(database, promotion, tenant_id=tenant, marts=marts, most=rows) if tenant and rows else []
        )
    if as_json:
        print_json({"changes": changes, "rows": changed})
        return
    _print_changes(changes, by_tenant=tenant is not None or mart is not None)
    for row in changed:
        say(_row(row))


def rollback(
    promotion: IdArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit log.")],
    tenant: Annotated[
        list[str] | None, typer.Option(metavar="TENANT", help="Only for this tenant; repeat it for more.")
    ] = None,
    cascade: Annotated[bool, typer.Option("--cascade", help="Undo the later promotions that build on it too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take a promotion back: every mart as it was before, in one transaction.

    Rows are compared by their hashes before and after; if anything else has
    changed them, nothing happens. It takes as long as what the promotion had
    changed. Promotions of the same tenants after it build on it: without
    --cascade they are named, and nothing happens.

    The tenants are held then, and their events are kept: `workbench holds
    release` promotes the same again, `rerun` judges it again, `discard` keeps it
    out for good.

    Examples:
      workbench rollback 12 --reason "Wrong currency in the import of Monday."
      workbench rollback 12 --tenant acme --cascade --reason "Same, acme alone."
    """
    who = ", ".join(tenant) if tenant else "all of its tenants"
    if not yes:
        later = " and the later ones that build on it" if cascade else ""
        typer.confirm(f"Undo promotion {promotion}{later} for {who}?", abort=True, err=True)
    with open_database(read_settings()) as database, errors.status("Undoing"):
        done = build_undoer(database).rollback(
            promotion, actor=actor(), reason=reason, tenants=tenant or None, cascade=cascade, progress=note
        )
    if as_json:
        print_json(done)
    else:
        _print_rollback(done)


def _print_rollback(done: Rollback) -> None:
    undone = ", ".join(map(str, done.undone))
    say(f"Undone: promotion {undone}, for {count(len(done.tenants), 'tenant')}; the marts are as they were before.")
    rows = [
        {"mart": mart, "rows removed": removed, "rows restored": done.rows_restored[mart]}
        for mart, removed in done.rows_removed.items()
    ]
    print_rows(rows)
    for warning in done.warnings:
        note(f"Warning: {warning}")
    note("They are held now: `workbench holds list`, then `release`, `rerun` or `discard`.")


def _line(line: PromotionLine) -> dict[str, object]:
    return {
        "promotion": line.promotion_id,
        "state": line.state.replace("_", " "),
        "started": line.started_at,
        "seconds": None if line.seconds is None else round(line.seconds, 1),
        "asked by": line.asked_by,
        "events": line.events,
        "promoted": line.promoted,
        "held": line.held,
        "undone": line.undone,
        "rows changed": line.changed_rows,
        "can be undone": line.undoable,
    }


def _tenant(line: TenantLine) -> dict[str, object]:
    standing = "undone" if line.undone_at else "promoted" if line.promoted else "held"
    return {
        "tenant": line.tenant_id,
        "events": line.events,
        "verdict": line.verdict,
        "now": standing,
        "full refresh": line.full_refresh,
        "rules that failed": line.rules,
    }


def _print_changes(changes: list[Change], *, by_tenant: bool) -> None:
    """By mart and tenant where somebody asked for one of them, else by mart."""
    groups: dict[tuple[object, ...], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.mart, change.published, *([change.tenant_id] if by_tenant else [])), []).append(
            change
        )
    rows = [
        {
            "mart": those[0].mart,
            **({"tenant": those[0].tenant_id} if by_tenant else {"tenants": len(those)}),
            "published": those[0].published,
            "inserted": sum(change.inserted for change in those),
            "updated": sum(change.updated for change in those),
            "deleted": sum(change.deleted for change in those),
        }
        for those in groups.values()
    ]
    print_rows(rows, empty="It changed nothing.")


def _row(row: RowChange) -> str:
    """A row before and after: what it was, and of what changed the new value."""
    if row.before is None or row.after is None:
        sign, values = ("+", row.after) if row.before is None else ("-", row.before)
        return f"{row.mart} {sign} {_values(values or {})}"
    same = {name: value for name, value in row.before.items() if row.after.get(name) == value}
    changed = ", ".join(
        f"{name} {text(value)} -> {text(row.after.get(name))}" for name, value in row.before.items() if name not in same
    )
    return f"{row.mart} ~ {_values(same)}: {changed}"


def _values(values: dict[str, object]) -> str:
    shown = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())
    return " ".join(shown)
