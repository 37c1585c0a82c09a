"""The page of a report: one HTML file without scripts, fonts, or anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
TEMPLATE = "report.html.j2"
STYLES = (FOLDER.parent / "notebooks" / "notebooks.css", FOLDER / "report.css")
MOMENT = "%-d %B %Y, %H:%M UTC"


def render(
    *,
    title: str,
    question: str,
    notebook: str,
    tenant_id: str,
    display_name: str,
    promotion_id: int,
    as_of: datetime,
    parts: Sequence[str],
) -> str:
    """The page; `parts` are HTML, everything else is text."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = lambda value: value.astimezone(UTC).strftime(MOMENT)
    return environment.get_template(TEMPLATE).render(
        title=title,
        question=question,
        notebook=notebook,
        tenant_id=tenant_id,
        display_name=display_name,
        promotion_id=promotion_id,
        as_of=as_of,
        parts=[Markup(part) for part in parts],
        style=Markup("\n".join(style.read_text(encoding="utf-8") for style in STYLES)),
    )
