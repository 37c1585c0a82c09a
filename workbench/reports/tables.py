"""marimo's table as one that stands still: the rows of its first page, and how many there are."""

from __future__ import annotations

import csv
import json
from html import escape
from io import StringIO
from typing import Any

from workbench.quality.shown import cell
from workbench.reports.markup import Element
from workbench.reports.pictures import decoded

OWN = "_marimo_row_id"
NUMBERS = ("integer", "number")


def table(element: Element) -> str:
    """The table's markup."""
    types = dict(_json(element, "data-field-types") or [])
    rows = _rows(_json(element, "data-data"))
    names = [name for name in types if name != OWN] or [name for name in (rows[0] if rows else {}) if name != OWN]
    numeric = {name for name in names if types.get(name, [""])[0] in NUMBERS}
    head = "".join(f'<th scope="col"{_class(name, numeric)}>{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{_class(name, numeric)}>{_text(row.get(name))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    drawn = f'<table class="wb-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wb-scroll">{drawn}</div>{_left_out(len(rows), _json(element, "data-total-rows"))}'


def _rows(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, str) and data.startswith("data:"):
        kind, content = decoded(data)
        return list(csv.DictReader(StringIO(content.decode()))) if "csv" in kind else json.loads(content)
    found: list[dict[str, Any]] = json.loads(data) if isinstance(data, str) else data or []
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    shown = cell(value)
    cut = f" … cut, {shown.length:,} characters" if shown.length else ""
    return escape(shown.text + cut)


def _class(name: str, numeric: set[str]) -> str:
    return ' class="wb-count"' if name in numeric else ""


def _left_out(shown: int, total: Any) -> str:
    if not isinstance(total, int) or total <= shown:
        return ""
    return f'<p class="wb-note">The first {shown:,} of {total:,} rows; the notebook has all of them.</p>'


def _json(element: Element, name: str) -> Any:
    return json.loads(element.attributes.get(name, "null"))
