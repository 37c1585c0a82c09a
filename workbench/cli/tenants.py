"""`workbench tenants`: the customers whose events are taken, and whether they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, note, print_json, print_rows, say

if TYPE_CHECKING:
    from pipeline.core.models import Tenant

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]

commands = typer.Typer(no_args_is_help=True, help="Add, list, suspend and resume tenants.")


def register(app: typer.Typer) -> None:
    """Add the `tenants` commands."""
    app.add_typer(commands, name="tenants")


@commands.command("add")
def add(
    tenant_id: Annotated[
        str,
        typer.Argument(
            metavar="TENANT",
            help="Its id for good: 1 to 63 lower-case letters, digits, dots, dashes and underscores.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="The name that people see; without it, the id.")] = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option(help="An event type that the tenant may send; repeat it. Without it, any type."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a tenant, with the login role under which its people type SQL.

    Examples:
      workbench tenants add acme --name "Acme Corporation"
      workbench tenants add initech --event-type page_view --event-type api_call

    Next: `workbench keys create acme` makes the key with which it sends events.
    """
    from pipeline.core.tenants import add_tenant

    with open_database(read_settings()) as database:
        tenant = add_tenant(database, tenant_id, display_name=name, event_types=event_type)
    if as_json:
        print_json(_row(tenant))
        return
    say(f"Tenant {tenant_id} is added.")
    note(f"Next: workbench keys create {tenant_id}")


@commands.command("list")
def show(as_json: JsonFlag = False) -> None:
    """List all tenants.

    Example:
      workbench tenants list

    Next: `workbench status` tells what each sent and what of it is published.
    """
    from pipeline.core.tenants import list_tenants

    with open_database(read_settings()) as database:
        rows = [_row(tenant) for tenant in list_tenants(database)]
    if as_json:
        print_json(rows)
        return
    readable = [{**row, "event_types": row["event_types"] or "any"} for row in rows]
    print_rows(readable, empty="There are no tenants yet: workbench tenants add TENANT.")


@commands.command("suspend")
def suspend(tenant_id: TenantId) -> None:
    """Refuse a tenant's events and logins from now on; its data is kept.

    Its open sessions are ended too.

    Example:
      workbench tenants suspend acme

    Next: `workbench tenants resume acme` undoes it.
    """
    from pipeline.core.tenants import suspend_tenant

    with open_database(read_settings()) as database:
        suspend_tenant(database, tenant_id)
    say(f"Tenant {tenant_id} is suspended: its keys and its login are refused, its data is kept.")
    note(f"Undo it with: workbench tenants resume {tenant_id}")


@commands.command("resume")
def resume(tenant_id: TenantId) -> None:
    """Take a suspended tenant's events and logins again.

    Example:
      workbench tenants resume acme
    """
    from pipeline.core.tenants import resume_tenant

    with open_database(read_settings()) as database:
        resume_tenant(database, tenant_id)
    say(f"Tenant {tenant_id} is active.")


def _row(tenant: Tenant) -> Row:
    return {
        "tenant_id": tenant.tenant_id,
        "display_name": tenant.display_name,
        "status": tenant.status,
        "event_types": tenant.event_types,
        "created_at": tenant.created_at,
        "suspended_at": tenant.suspended_at,
    }
