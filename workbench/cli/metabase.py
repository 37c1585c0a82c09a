"""`workbench metabase`: dashboards as files, and a Metabase that is as they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import MetabaseError
from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.metabase_site import administrator_of, read_desired, read_fit
from workbench.cli.metabase_view import line_of, print_changes, tell_of
from workbench.cli.output import JsonFlag, count, note, print_json, print_rows, say

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from workbench.metabase.provisioning import Standing

commands = typer.Typer(no_args_is_help=True, help="Dashboards as files, in a Metabase that is as they say.")

NOT_AS_DESCRIBED = 3
PATIENCE_SECONDS = 30
SpecOption = Annotated[
    Path | None, typer.Option("--spec", metavar="FOLDER", help="Dashboards of your own, instead of those shipped.")
]
DashboardArgument = Annotated[str, typer.Argument(metavar="DASHBOARD", help="Its slug, or its number in Metabase.")]


def register(app: typer.Typer) -> None:
    """Add the `metabase` commands."""
    app.add_typer(commands, name="metabase")


@commands.command("check")
def check(spec: SpecOption = None, as_json: JsonFlag = False) -> None:
    """Judge the files alone; it needs neither Metabase nor a database.

    A customer's card must take the locked tenant and read functions of the
    schema metrics alone: what breaks that is refused with file, line and card.
    `plan` and `apply` do the same first. For a pipeline that looks at a change.

    Examples:
      workbench metabase check
      workbench metabase check --spec dashboards/

    Next: `workbench metabase plan` shows what would change.
    """
    files = read_fit(spec)
    rows = [
        {"dashboard": file.slug, "for": file.dashboard.audience, "cards": len(file.dashboard.cards)} for file in files
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)


@commands.command("plan")
def plan(spec: SpecOption = None, as_json: JsonFlag = False) -> None:
    """Show what `apply` would write, and refuse files that are not fit.

    Each field that differs is shown, with what it must be and what it is. Nothing
    is changed.

    Exit codes: 0 nothing to do, 3 there are changes, 1 refused or failed.

    Examples:
      workbench metabase plan
      workbench metabase plan --spec dashboards/ --json

    Next: `workbench metabase apply` writes it.
    """
    standing = _look(spec)
    if as_json:
        print_json(standing)
    else:
        if standing.is_new:
            note("Metabase is new: its administrator is made first.")
        print_changes(standing.changes, empty="Metabase is as described.")
        if standing.allow_list:
            say(f"The list of dashboards that the API knows changes: {', '.join(standing.allow_list)}.")
    if not standing.is_as_described:
        raise typer.Exit(NOT_AS_DESCRIBED)


@commands.command("apply")
def apply(spec: SpecOption = None, as_json: JsonFlag = False) -> None:
    """Bring Metabase to what the files say, a new one included.

    It waits for Metabase, makes its administrator if there is none, and writes
    what differs: settings, connections, collections, cards, dashboards. Every
    write is read back and compared. What was interrupted is taken up by the next
    run; a second run writes nothing. What no file describes is left alone.

    Examples:
      workbench metabase apply
      workbench metabase apply --spec dashboards/

    Next: `workbench embeds token --tenant TENANT --dashboard usage` shows one.
    """
    from workbench.metabase import provisioning

    settings = read_settings()
    administrator = administrator_of(settings)
    with open_database(settings) as database:
        generation = provisioning.read_generation(database, writing=True)
        applied = provisioning.apply(
            database,
            administrator,
            read_desired(settings, database, spec, generation),
            generation=generation,
            site_name=settings.metabase.site_name,
            site_url=settings.metabase.browser_url or administrator.url,
            actor=actor(),
            progress=note,
        )
    if as_json:
        print_json(applied)
        return
    done = count(len(applied.changes), "change") if applied.changes else "nothing to do"
    say(f"Metabase is as described: {done}.")
    print_rows([line_of(each) for each in applied.dashboards])
    tell_of(applied.strangers)


@commands.command("drift")
def drift(spec: SpecOption = None, as_json: JsonFlag = False) -> None:
    """Find what in Metabase is not as the files say.

    Also what no file describes: things in the collections that are ours, and
    whatever else is published for embedding. For a timer, or a pipeline that
    deploys: it writes nothing.

    Exit codes: 0 all as described, 3 something is not, 1 failed.

    Examples:
      workbench metabase drift
      workbench metabase drift --json

    Next: `workbench metabase apply` sets it back; `export` takes it into a file.
    """
    standing = _look(spec)
    if as_json:
        print_json(standing)
    else:
        print_changes(standing.changes, empty="Everything that is described is as it must be.")
        tell_of(standing.strangers)
        if standing.allow_list:
            say(f"The list of dashboards that the API knows is not right: {', '.join(standing.allow_list)}.")
    if standing.strangers or not standing.is_as_described:
        raise typer.Exit(NOT_AS_DESCRIBED)


@commands.command("export")
def export(
    dashboard: DashboardArgument,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write it: SLUG.yml.")] = None,
) -> None:
    """Write a dashboard of Metabase as a file.

    For one that was drawn in Metabase, or changed there. What a file cannot say
    is refused, not left out.

    Examples:
      workbench metabase export usage
      workbench metabase export 17 --output dashboards/churn.yml

    Next: `workbench metabase plan --spec dashboards/`.
    """
    from workbench.metabase.exporting import export as export_dashboard
    from workbench.metabase.opening import signed_in

    settings = read_settings()
    administrator = administrator_of(settings)
    with open_database(settings) as database:
        number = _number(database, dashboard)
    with signed_in(administrator, patience_seconds=PATIENCE_SECONDS) as metabase:
        written = export_dashboard(metabase, number)
    if output is None:
        typer.echo(written, nl=False)
        return
    try:
        output.write_text(written)
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error}", param_hint="--output") from error
    note(f"Next: workbench metabase plan --spec {output.parent}")


def _number(database: Database, dashboard: str) -> int:
    from workbench.metabase.allow_list import read_applied

    if dashboard.isdecimal():
        return int(dashboard)
    with database.connect_admin() as connection:
        known = {each.slug: each.dashboard_id for each in read_applied(connection)}
    if dashboard not in known:
        raise MetabaseError(
            f"There is no dashboard {dashboard!r}.", remedy=f"There are: {', '.join(known) or 'none that was applied'}."
        )
    return known[dashboard]


def _look(spec: Path | None) -> Standing:
    """How Metabase stands to the files. Raises SpecError, MetabaseError and what opening the database raises."""
    from workbench.metabase.provisioning import look, read_generation

    settings = read_settings()
    administrator = administrator_of(settings)
    with open_database(settings) as database:
        desired = read_desired(settings, database, spec, read_generation(database))
        return look(database, administrator, desired, patience_seconds=PATIENCE_SECONDS)
