"""`workbench db`: the database's addresses, and bringing it to this release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import DeploymentError
from workbench.cli.context import deploy, open_database, read_settings
from workbench.cli.output import JsonFlag, note, print_json, say

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings

ADMINISTRATOR = "admin"
ROLE_PREFIX = "workbench_"

commands = typer.Typer(no_args_is_help=True, help="Connection addresses, and migration of the database.")


def register(app: typer.Typer) -> None:
    """Add the `db` commands."""
    app.add_typer(commands, name="db")


@commands.command("url")
def url(
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="The address at which this tenant's people type SQL.")
    ] = None,
    role: Annotated[
        str,
        typer.Option(help="Whose: admin, lander, transformer, publisher, api, steward, bi, embed or notebooks."),
    ] = ADMINISTRATOR,
) -> None:
    """Print a connection address (a libpq URI), for psql or another tool.

    It holds the password, where there is one. The embedded database answers
    only while the stack runs (`workbench up`), and only to this user of this
    machine. Give a tenant's people its address on a standby or behind a gateway
    only: a direct connection may EXPLAIN, which `workbench sql` refuses.

    Examples:
      workbench db url
      workbench db url --tenant acme
      workbench db url --role steward
    """
    settings = read_settings()
    if tenant is not None and role != ADMINISTRATOR:
        raise typer.BadParameter("choose one of --tenant and --role")
    from pipeline.core.embedded import EmbeddedPostgres

    say(_tenant_url(settings, tenant) if tenant is not None else _role_url(settings, role))
    if not settings.database_url and EmbeddedPostgres(settings.home).process() is None:
        note("The embedded database is not running now: workbench up starts it.")


@commands.command("migrate")
def migrate(as_json: JsonFlag = False) -> None:
    """Bring the database to this release: roles, schemas, marts and grants.

    Everything succeeds or fails together, and running it again changes nothing.
    The embedded database is migrated by every command by itself; one given by
    DATABASE_URL only by this command.

    Example:
      workbench db migrate

    Next: `workbench doctor` checks the result.
    """
    settings = read_settings()
    if settings.database_url:
        from pipeline.core.database import Database

        done = _migrated(Database(admin_url=settings.database_url, secret=settings.secret))
    else:
        with open_database(settings) as database:
            done = _migrated(database)
    if as_json:
        print_json(done)
        return
    say(f"The database is at revision {done['revision']}, security fingerprint {done['fingerprint'][:16]}.")
    note("Next: workbench doctor")


def _migrated(database: Database) -> dict[str, str]:
    import psycopg

    from pipeline.core.deployment import revisions

    try:
        fingerprint = deploy(database)
    except psycopg.errors.InsufficientPrivilege as error:
        raise DeploymentError(
            f"The database refuses the deployment: {error.diag.message_primary}.",
            remedy="DATABASE_URL must name a superuser: only one may close what PUBLIC could use.",
        ) from error
    with database.connect_admin() as connection:
        _, revision = revisions(connection)
    return {"revision": revision, "fingerprint": fingerprint}


def _tenant_url(settings: Settings, tenant_id: str) -> str:
    from pipeline.core.tenants import tenant_url

    with open_database(settings) as database:
        return tenant_url(database, tenant_id)


def _role_url(settings: Settings, role: str) -> str:
    from pipeline.core.database import Database, ServiceRole
    from pipeline.core.embedded import EmbeddedPostgres

    admin_url = settings.database_url or EmbeddedPostgres(settings.home).admin_url
    if role == ADMINISTRATOR:
        return admin_url
    roles = {known.value.removeprefix(ROLE_PREFIX): known for known in ServiceRole}
    if role not in roles:
        raise typer.BadParameter(f"{role} is none of {ADMINISTRATOR}, {', '.join(roles)}", param_hint="--role")
    return Database(admin_url=admin_url, secret=settings.secret).url(roles[role])
