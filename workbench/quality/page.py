"""A report as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench.quality import shown
from workbench.quality.outline import Outline, changed_rows, outline
from workbench.quality.report import QualityReport, Tenant

FOLDER = Path(__file__).parent
TEMPLATE = "report.html.j2"
STYLE = "report.css"

VERDICTS = {
    "passed": ("good", "✓"),
    "released": ("plain", "↑"),
    "failed": ("bad", "✕"),
    "errored": ("bad", "!"),
    "empty": ("bad", "0"),
    "unseen": ("bad", "?"),
    "rolled_back": ("bad", "↶"),
    "warn": ("warn", "▲"),
    "stop": ("bad", "■"),
    "none": ("plain", "–"),
}
"""A tone and a sign for each; the word itself always stands beside them."""


def render(report: QualityReport) -> str:
    """The report as a page. What tenants sent is escaped, and cut where it is long."""
    return _environment().get_template(TEMPLATE).render(page=outline(report), report=report)


def headline(page: Outline) -> str:
    """The report in one sentence."""
    promotion = page.report.promotion
    if page.report.tenant_id is not None:
        return f"Promotion {promotion.promotion_id}: {page.report.tenant_id} {_fate(page.report.tenants[0])}"
    held = shown.count(promotion.held, "tenant")
    if promotion.state == "failed":
        return f"Promotion {promotion.promotion_id} failed: nothing was published"
    if not promotion.is_out:
        return f"Promotion {promotion.promotion_id} is {promotion.state}: nothing is published yet"
    if promotion.state == "rolled_back":
        return f"Promotion {promotion.promotion_id} was rolled back"
    if promotion.unjudged and not promotion.promoted:
        return f"Promotion {promotion.promotion_id} could not be judged: {held} held"
    if promotion.held:
        return f"Promotion {promotion.promotion_id}: {held} held, {promotion.promoted:,} promoted"
    return f"Promotion {promotion.promotion_id}: all of {shown.count(promotion.promoted, 'tenant')} promoted"


def _fate(tenant: Tenant) -> str:
    if tenant.undone_at is not None:
        return "was promoted, and rolled back"
    return "was promoted" if tenant.promoted else "was not promoted"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=shown.moment, duration=shown.duration, counted=shown.count, harmless=shown.harmless, cell=shown.cell
    )
    environment.globals.update(
        # Ours, and no element ends within it.
        style=Markup((FOLDER / STYLE).read_text(encoding="utf-8")),
        verdicts=VERDICTS,
        headline=headline,
        changed_rows=changed_rows,
    )
    return environment
