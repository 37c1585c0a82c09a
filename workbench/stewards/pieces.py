"""The Quality notebook's pieces as HTML: each a pure function of what the steward reads.

Everything that tenants or people typed is escaped, cut where it is long, and made harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench.promotions import PromotionLine
from workbench.quality import shown
from workbench.quality.outline import Room
from workbench.quality.page import VERDICTS
from workbench.quality.report import Check, Finding, QualityReport
from workbench.stewards.decision import LABELS, MEANINGS, Action, Outcome, Request
from workbench.stewards.verdicts import Line
from workbench.stewardship import Failure, HeldTenant, HoldDetails

FOLDER = Path(__file__).parent
TEMPLATE, STYLE = "pieces.html.j2", "pieces.css"
SHORT = "%-d %b %Y, %H:%M UTC"
SAMPLES = 20
MOST_HELD = 100
"""Held tenants that are listed, the longest held first; any can be chosen."""


def head(title: str, question: str, email: str, way_home: str = "") -> str:
    """The head of the page, with the style of its pieces; `way_home` is HTML that leads to the list of notebooks."""
    style = (FOLDER / STYLE).read_text(encoding="utf-8")
    return f"<style>{style}</style>{_macro('head')(title, question, email, Markup(way_home))}"


def tiles(held: Sequence[HeldTenant], promotions: Sequence[PromotionLine]) -> str:
    """How things stand, in figures."""
    return str(_macro("tiles")(held, promotions[0] if promotions else None))


def holds(held: Sequence[HeldTenant]) -> str:
    """Who is held now."""
    return str(_macro("holds")(held))


def why(details: HoldDetails) -> str:
    """Why a tenant is held: each rule that did not pass, with rows."""
    room = Room()
    found = [(failure, room.samples(_finding(failure), SAMPLES)) for failure in details.failures]
    return str(_macro("why")(details, found))


def difference(details: HoldDetails) -> str:
    """What a release would change in the tenant's last good figures."""
    return str(_macro("difference")(details.difference))


def decisions(details: HoldDetails) -> str:
    """What was done by hand about the tenant, latest first."""
    return str(_macro("decisions")(details.decisions))


def meanings(actions: Sequence[Action]) -> str:
    """What each decision that is open does."""
    told = "".join(f"<dt>{LABELS[action]}</dt><dd>{MEANINGS[action]}</dd>" for action in actions)
    return f'<dl class="wq-meanings">{told}</dl>'


def fields(*inputs: str) -> str:
    """Inputs, as markup, below each other."""
    return f'<div class="wq-fields">{"".join(inputs)}</div>'


def choices(*inputs: str) -> str:
    """Inputs, as markup, beside each other where there is room."""
    return f'<div class="wq-choices">{"".join(inputs)}</div>'


def missing(told: str | None) -> str:
    """What is still to be filled in before there is something to confirm."""
    return str(_macro("missing")(told or ""))


def asked(request: Request, told: str, email: str) -> str:
    """A decision before it is confirmed: what will happen, why, and in whose name."""
    return str(_macro("asked")(request, told, email))


def ended(outcome: Outcome) -> str:
    """How a decision ended."""
    return str(_macro("ended")(outcome))


def promotion(report: QualityReport) -> str:
    """A promotion's own facts."""
    return str(_macro("promotion")(report))


def rules(checks: Sequence[Check]) -> str:
    """Rules as they were evaluated over all tenants; what did not pass first."""
    ordered = sorted(checks, key=lambda each: (each.outcome == "passed", each.severity, each.boundary, each.rule))
    return str(_macro("rules")(ordered))


def verdicts(lines: Sequence[Line], left: int) -> str:
    """Verdicts by tenant and rule."""
    return str(_macro("verdict_table")(lines, left))


def _finding(failure: Failure) -> Finding:
    return Finding(
        boundary=failure.boundary,
        rule=failure.rule,
        severity=failure.severity,
        outcome=failure.outcome,
        failing_rows=failure.failing_rows,
        detail=failure.detail,
        why=None,
        samples=failure.samples,
    )


@cache
def _module() -> Any:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        short=lambda moment: moment.astimezone(UTC).strftime(SHORT),
        moment=shown.moment,
        duration=shown.duration,
        counted=shown.count,
        harmless=shown.harmless,
    )
    environment.globals.update(verdicts=VERDICTS, labels=LABELS, most=MOST_HELD)
    return environment.get_template(TEMPLATE).module


def _macro(name: str) -> Any:
    return getattr(_module(), name)
