"""`workbench quality`: the report of what a promotion checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.errors import WorkbenchError
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, note, print_json

if TYPE_CHECKING:
    from workbench.quality.report import QualityReport

commands = typer.Typer(no_args_is_help=True, help="What promotions checked, as a report.")


class ReportError(WorkbenchError):
    """The report cannot be written where it is asked for."""


def register(app: typer.Typer) -> None:
    """Add the `quality` commands."""
    app.add_typer(commands, name="quality")


@commands.command("report")
def report(
    promotion: Annotated[
        int | None,
        typer.Option(metavar="PROMOTION", help="Its number; without it, the latest that judged anything."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only its part, with its own trend.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one HTML page.")] = None,
    data_docs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write Great Expectations' Data Docs of it into a folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Report what a promotion checked, what failed and why that matters.

    Rules and the rows that they were evaluated on, per boundary; per tenant the
    verdict, up to 20 failing rows of each rule, what it changed in the marts or
    would change, its holds and who decided what; and the trend over the last 30
    promotions. Nothing is judged again: it is what the promotion left on record.

    The page of --html is one file that needs no network and prints well. It
    shows what needs somebody first, however many tenants there are; --json has
    all of it.

    Examples:
      workbench quality report
      workbench quality report --promotion 12 --html report.html
      workbench quality report --tenant clock-ahead --json
      workbench quality report --promotion 12 --data-docs docs-12

    Next: `workbench holds release TENANT`, `discard` or `rerun`.
    """
    from pipeline.core.clock import utc_now
    from workbench.cli.quality_view import print_report
    from workbench.quality.reading import read_report

    with open_database(read_settings()) as database:
        read = read_report(database, made_at=utc_now(), promotion_id=promotion, tenant_id=tenant)
    if html is not None:
        _write_page(read, html)
    if data_docs is not None:
        _write_data_docs(read, data_docs)
    if as_json:
        print_json(read)
    elif html is None and data_docs is None:
        print_report(read)


def _write_page(report: QualityReport, file: Path) -> None:
    from workbench.quality.page import render

    page = render(report)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error, "--html") from error
    note(f"Written: {file} ({len(page.encode()) // 1000:,} kB). Open it in a browser.")


def _write_data_docs(report: QualityReport, folder: Path) -> None:
    from workbench.quality.data_docs import write_data_docs

    try:
        folder.mkdir(parents=True, exist_ok=True)
        index = write_data_docs(report, folder)
    except OSError as error:
        raise _unwritable(folder, error, "--data-docs") from error
    note(f"Written: {index}. Open it in a browser.")


def _unwritable(path: Path, error: OSError, option: str) -> ReportError:
    reason = error.strerror or str(error)
    return ReportError(
        f"{path} cannot be written: {reason}.", remedy=f"Name a place in a folder that exists and is yours: {option}."
    )
