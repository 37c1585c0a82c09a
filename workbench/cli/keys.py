"""`workbench keys`: the API keys with which tenants send events and read metrics."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.clock import utc_now
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, note, print_json, print_rows, say
from workbench.cli.running import find_stack

if TYPE_CHECKING:
    from pipeline.core.models import ApiKey

commands = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")


class Scope(StrEnum):
    """What a key opens."""

    INGEST = "ingest"
    READ = "read"


def register(app: typer.Typer) -> None:
    """Add the `keys` commands."""
    app.add_typer(commands, name="keys")


@commands.command("create")
def create(
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant whose key it is.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What the key opens, ingest unless you say so; repeat it for both.")
    ] = None,
    label: Annotated[str, typer.Option(help="A word on who uses it, for the list.")] = "",
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Days until it expires; without it, never.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an API key and print it, the only time that it can be seen.

    Of the key only a hash is kept. Standard output has the key alone, so that a
    script can take it. A tenant may have two live keys, which is what a rotation
    needs: make the second, move to it, revoke the first.

    Examples:
      workbench keys create acme
      workbench keys create acme --scope ingest --scope read --expires-in-days 90

    Next: send an event with the command printed beside the key, then run
    `workbench promote`.
    """
    from pipeline.core.key_register import create_key

    settings, scopes = read_settings(), scope or [Scope.INGEST]
    expires_at = None if expires_in_days is None else utc_now() + timedelta(days=expires_in_days)
    with open_database(settings) as database:
        key = create_key(database, tenant_id, scopes=scopes, label=label, expires_at=expires_at)
    if as_json:
        print_json({"key": key, "tenant_id": tenant_id, "scopes": scopes, "label": label, "expires_at": expires_at})
        return
    say(key)
    note("Keep it now: it cannot be shown again.")
    if Scope.INGEST in scopes:
        stack = find_stack(settings.home)
        address = stack.url if stack else f"http://{settings.host}:{settings.port}"
        note(f"Send a first event:\n{_curl(key, address)}")


@commands.command("list")
def show(
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant's keys.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the keys with scopes, state and last use; never the keys themselves.

    Examples:
      workbench keys list
      workbench keys list --tenant acme --json
    """
    from pipeline.core.key_register import list_keys

    with open_database(read_settings()) as database:
        rows = [_row(key) for key in list_keys(database, tenant)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="There are no keys yet: workbench keys create TENANT.")


@commands.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, as the list shows it.")],
) -> None:
    """Revoke a key for good; the API refuses it from its next request on.

    Example:
      workbench keys revoke 4fQ81kTz0aXc
    """
    from pipeline.core.key_register import revoke_key

    with open_database(read_settings()) as database:
        key = revoke_key(database, key_id)
    say(f"Key {key_id} of tenant {key.tenant_id} is revoked.")


def _row(key: ApiKey) -> Row:
    from pipeline.core.key_register import is_live

    state = "live" if is_live(key) else "revoked" if key.revoked_at else "expired"
    return {
        "tenant_id": key.tenant_id,
        "key_id": key.key_id,
        "state": state,
        "scopes": key.scopes,
        "label": key.label,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }


def _curl(key: str, address: str) -> str:
    return (
        f"curl {address}/v1/events -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' "
        """-d '{"event_type": "page_view", "user_id": "u1", "properties": {"path": "/"}}'"""
    )
