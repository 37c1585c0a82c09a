"""`workbench report`: a notebook as one dated HTML file of a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.notebooks import EXTRACTS
from workbench.cli.output import JsonFlag, errors, note, print_json, say


def register(app: typer.Typer) -> None:
    """Add the `report` command."""
    app.command("report")(make)


def make(
    notebook: Annotated[str, typer.Argument(help="overview, features, funnels, ...: as on the home page.")],
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Whose data it shows.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; without it, here, named by notebook, tenant and promotion."),
    ] = None,
    promotion: Annotated[
        int | None,
        typer.Option(
            "--promotion", "-p", "--as-of", metavar="PROMOTION", help="Refuse unless this is what is published."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a notebook as one HTML file of a tenant, as of its promotion.

    The file shows what the notebook shows when it is opened, dated by the
    promotion that published the data. It needs no network and no script, holds
    no code, follows the reader's light or dark setting, and prints well. The
    same promotion gives the same bytes; --json tells their SHA-256. If a cell of
    the notebook fails, nothing is written.

    Examples:
      workbench report overview --tenant acme
      workbench report features --tenant acme --html features.html --json
      workbench report retention --tenant acme --promotion 12

    Next: open the file in a browser, or send it.
    """
    from workbench.promotions import read_promotion
    from workbench.reports import file_name, make_report, write_report
    from workbench.session import open_workbench

    settings = read_settings()
    cache = settings.notebooks.cache_dir or settings.home / EXTRACTS
    with (
        open_database(settings) as database,
        open_workbench(database, tenant, cache_dir=cache) as workbench,
    ):
        with errors.status("Making the report"):
            made = make_report(
                workbench,
                notebook,
                moment_of=lambda number: read_promotion(database, number).promotion.as_of,
                promotion_id=promotion,
            )
        held = workbench.freshness().held
    file = html or Path(file_name(made))
    write_report(made, file)
    if held:
        note(f"Newer data of {tenant} is held back; the report is of what is published: promotion {made.promotion_id}.")
    if as_json:
        document = {"path": str(file), "tenant": tenant, "notebook": made.notebook, "promotion": made.promotion_id}
        print_json(
            document | {"as_of": made.as_of, "held": held, "bytes": len(made.html.encode()), "sha256": made.sha256}
        )
    else:
        say(f"Written: {file} ({len(made.html.encode()) // 1000:,} kB), of promotion {made.promotion_id}.")
