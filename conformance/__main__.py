"""`make conformance`: the same scenarios on ours and on the customary ways to publish, as a table."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from conformance.kit import run
from conformance.scenario import Effort
from conformance.scenarios import SCENARIOS
from conformance.stand import new_stand
from conformance.subjects import SUBJECTS, VARIANTS
from conformance.table import markdown, print_report
from workbench.cli.output import note, print_json

USUAL = Effort()
BROKEN = 1
TERMINATED = 143


def main(
    scenario: Annotated[list[str] | None, typer.Option(help="Some of the scenarios; repeat it.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Some of the subjects; repeat it.")] = None,
    publications: Annotated[int, typer.Option(help="Under the eyes of readers.")] = USUAL.publications,
    facts: Annotated[int, typer.Option(help="The smaller history; the larger is 16 times it.")] = USUAL.sizes[0],
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the table there, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Ask each subject for the promises that readers of published figures need; it takes some minutes.

    It exits with 1 if the workbench broke one, or a scenario could not be run.
    """
    # `timeout` and the like end it in an orderly way: server stopped, folder removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    chosen = [each for each in SCENARIOS if scenario is None or each.name in scenario]
    subjects = {name: create for name, create in SUBJECTS.items() if subject is None or name in subject}
    if not chosen or not subjects:
        raise typer.BadParameter(f"Scenarios: {[each.name for each in SCENARIOS]}. Subjects: {list(SUBJECTS)}.")
    effort = Effort(publications=publications, sizes=(facts, 16 * facts))
    with new_stand() as stand:
        report = run(stand, subjects, chosen, effort, only=VARIANTS if subject is None else {}, tell=note)
    if markdown_file is not None:
        markdown_file.write_text(markdown(report))
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        print_report(report)
    if any(row.holds is None or (row.subject == "workbench" and not row.holds) for row in report.rows):
        raise typer.Exit(BROKEN)


if __name__ == "__main__":
    typer.run(main)
