"""`workbench tenants`: the customers whose events are taken, whether they are, and how they are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, count, note, print_json, print_rows, say

if TYPE_CHECKING:
    from pipeline.core.models import Tenant

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]

commands = typer.Typer(no_args_is_help=True, help="Add, list, change, suspend and resume tenants.")


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


@commands.command("set")
def change(
    tenant_id: TenantId,
    shards: Annotated[
        int | None,
        typer.Option(min=1, max=1_000, help="Over how many partitions of the stream its events are spread."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name that people see.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change a tenant's name, or spread it over more partitions of the stream.

    With Kafka, all events of a tenant go to one partition, unless it sends more
    than one takes: then give it shards. A change moves nothing and loses nothing:
    what is in the stream is landed from where it is, and an event that is sent
    again is stored once, wherever its copies lie. API processes take it up when
    they next look at a key, within seconds.

    Examples:
      workbench tenants set acme --shards 4
      workbench tenants set acme --name "Acme Corporation"
    """
    from pipeline.core.tenants import set_tenant

    if shards is None and name is None:
        raise typer.BadParameter("say what to change: --shards or --name")
    settings = read_settings()
    with open_database(settings) as database:
        tenant = set_tenant(database, tenant_id, display_name=name, shards=shards)
    if as_json:
        print_json(_row(tenant))
    else:
        say(f"Tenant {tenant_id}: name {tenant.display_name}, {count(tenant.shards, 'shard')}.")
    if tenant.shards > settings.kafka.partitions:
        note(
            f"Warning: {tenant.shards} shards are more than the topic's {settings.kafka.partitions} partitions "
            "(WORKBENCH_KAFKA_PARTITIONS): no more than there are partitions have an effect."
        )


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
        "shards": tenant.shards,
        "created_at": tenant.created_at,
        "suspended_at": tenant.suspended_at,
    }
