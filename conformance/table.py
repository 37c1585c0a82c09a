"""The table of a run: for the terminal, for a document, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workbench.cli.output import console, print_table


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One promise, and how one subject kept it; `holds` is null if the scenario could not be run."""

    scenario: str
    promise: str
    subject: str
    holds: bool | None
    detail: str

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "holds", False: "fails", None: "did not run"}[self.holds]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one run."""

    postgresql: str
    dbt: str
    seconds: float
    rows: Sequence[Row]


def print_report(report: Report) -> None:
    """Verdicts of all subjects side by side, then what was measured where a promise failed."""
    subjects = list(dict.fromkeys(row.subject for row in report.rows))
    verdicts = [[promise, *(row.verdict if row else "" for row in rows)] for promise, rows in _promises(report)]
    print_table(["promise", *subjects], verdicts, title=_title(report))
    details = [[row.promise, row.subject, row.verdict, row.detail] for row in report.rows]
    print_table(["promise", "subject", "verdict", "measured"], details, title="Measured")
    console.print(f"{report.seconds:.0f} s in all.")


def markdown(report: Report) -> str:
    """The same as two Markdown tables."""
    subjects = list(dict.fromkeys(row.subject for row in report.rows))
    lines = [f"{_title(report)}.", "", f"| promise | {' | '.join(subjects)} |", "|---" * (len(subjects) + 1) + "|"]
    for promise, rows in _promises(report):
        cells = [("**fails**" if row.holds is False else row.verdict) if row else "" for row in rows]
        lines.append(f"| {promise} | {' | '.join(cells)} |")
    for promise, rows in _promises(report):
        lines += ["", f"**{promise}**", ""]
        lines += [f"- {row.subject}, {row.verdict}: {row.detail}" for row in rows if row]
    return "\n".join(lines) + "\n"


def _promises(report: Report) -> list[tuple[str, list[Row | None]]]:
    subjects = list(dict.fromkeys(row.subject for row in report.rows))
    found = {(row.promise, row.subject): row for row in report.rows}
    promises = dict.fromkeys(row.promise for row in report.rows)
    return [(promise, [found.get((promise, subject)) for subject in subjects]) for promise in promises]


def _title(report: Report) -> str:
    return f"PostgreSQL {report.postgresql}, dbt-core {report.dbt}"
