"""Makes a report: runs the notebook headless on one tenant's data, and puts what it shows on one page."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.errors import WorkbenchError
from workbench.reports.errors import ReportError
from workbench.reports.page import render
from workbench.reports.pinned import Pinned
from workbench.reports.still import Still
from workbench.serving.catalog import Notebook, read_catalog
from workbench.session import Freshness, Source

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PACKAGE = "workbench.notebooks"
STATEMENTS = "sql"
"""Shows what somebody types, and nothing before that."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A page of one tenant, as of one promotion."""

    notebook: str
    title: str
    question: str
    tenant_id: str
    display_name: str
    promotion_id: int
    as_of: datetime
    html: str

    @property
    def sha256(self) -> str:
        """Of the file's bytes, in hexadecimal."""
        return hashlib.sha256(self.html.encode()).hexdigest()


def reportable(folder: Path = NOTEBOOKS) -> list[Notebook]:
    """The notebooks of which there can be reports: those about one tenant that show something by themselves."""
    return [each for each in read_catalog(folder) if not each.for_stewards and each.name != STATEMENTS]


def make_report(
    source: Source, notebook: str, *, moment_of: Callable[[int], datetime], promotion_id: int | None = None
) -> Report:
    """The report of a tenant's published data.

    `moment_of` answers up to when (UTC) a promotion took in what was received. The source's own moment goes on
    with every promotion that finds nothing new, and a report made later would be another one.

    Raises ReportError for an unknown notebook, where nothing is published, where `promotion_id` is given and not
    the tenant's current one, where the notebook fails, or where a promotion is published meanwhile; SourceError
    where the data cannot be read.
    """
    chosen = _chosen(notebook)
    current = _current(source, source.freshness(), promotion_id)
    as_of = moment_of(current)
    pinned = Pinned(source, Freshness(promotion_id=current, as_of=as_of, held=False, held_since=None))
    outputs = _run(chosen, pinned)
    after = source.freshness().promotion_id
    if after != current:
        raise ReportError(
            f"Promotion {after} of {source.tenant_id} was published while the report was made.",
            remedy="Make it again: it is of that promotion then.",
        )
    still = Still()
    return Report(
        notebook=chosen.name,
        title=chosen.title,
        question=chosen.question,
        tenant_id=source.tenant_id,
        display_name=source.display_name,
        promotion_id=current,
        as_of=as_of,
        html=render(
            title=chosen.title,
            question=chosen.question,
            notebook=chosen.name,
            tenant_id=source.tenant_id,
            display_name=source.display_name,
            promotion_id=current,
            as_of=as_of,
            parts=[part for part in map(still.html, outputs) if part.strip()],
        ),
    )


def file_name(report: Report) -> str:
    """What a report's file is called where nobody says otherwise."""
    return f"{report.notebook}-{report.tenant_id}-promotion-{report.promotion_id}.html"


def write_report(report: Report, file: Path) -> None:
    """Write it whole, or not at all. Raises ReportError."""
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.write_bytes(report.html.encode())
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ReportError(
            f"{file} cannot be written: {error.strerror or error}.",
            remedy="Name a place in a folder that exists and is yours: --html.",
        ) from error


def _chosen(name: str) -> Notebook:
    known = reportable()
    found = next((each for each in known if each.name == name), None)
    if found is None:
        raise ReportError(
            f"There is no notebook {name} to make a report of.",
            remedy=f"There are: {', '.join(each.name for each in known)}.",
        )
    return found


def _current(source: Source, fresh: Freshness, wanted: int | None) -> int:
    if fresh.promotion_id is None:
        raise ReportError(
            f"Nothing of {source.tenant_id} is published yet.",
            remedy=f"`workbench promote --tenant {source.tenant_id}` publishes what it has sent, if that passes.",
        )
    if wanted is not None and wanted != fresh.promotion_id:
        raise ReportError(
            f"What is published of {source.tenant_id} is of promotion {fresh.promotion_id}, not of {wanted}.",
            remedy="A report is of what is published: make it without a promotion, or roll the later ones back.",
        )
    return fresh.promotion_id


def _run(notebook: Notebook, pinned: Pinned) -> list[str]:
    """The HTML of each cell's output, in the order of the cells."""
    import altair
    import marimo

    app: marimo.App = importlib.import_module(f"{PACKAGE}.{notebook.name}").app
    try:
        # As their specifications, and not as pages with a script that fetches what draws them.
        with altair.renderers.enable("mimetype"), altair.data_transformers.enable("default", max_rows=None):
            outputs, _ = app.run(defs={"wb": pinned})
            shown = [marimo.as_html(output).text for output in outputs if output is not None]
    except WorkbenchError:
        raise
    except Exception as error:
        raise ReportError(
            f"The notebook {notebook.name} failed for {pinned.tenant_id}: {_reason(error)}",
            remedy="Nothing was written. Open the notebook to see where it fails.",
        ) from error
    if pinned.failure is not None:
        raise pinned.failure
    return shown


def _reason(error: BaseException) -> str:
    cause: Any = error.__cause__ or error
    told = re.sub(r"\s+", " ", str(cause)).strip()
    return f"{type(cause).__name__}: {told}" if told else type(cause).__name__
