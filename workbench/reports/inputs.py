"""What an input is set to, in words: a report is made with every input as the notebook sets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from workbench.reports.markup import Element, text_of

NAMED = ("dropdown", "multiselect", "radio", "date", "datetime", "date-range", "text", "text-area", "number")
SLIDING = ("slider", "range-slider")
YES_OR_NO = ("checkbox", "switch")
KNOWN = frozenset((*NAMED, *SLIDING, *YES_OR_NO))


def setting(element: Element) -> str:
    """The label and the value that it is set to; nothing for an empty one."""
    value = told(element.tag.removeprefix("marimo-"), _json(element, "data-initial-value"), element.attributes)
    if not value:
        return ""
    label = text_of(_json(element, "data-label") or "")
    name = f"<b>{escape(label)}</b> " if label else ""
    return f'<span class="wr-setting">{name}{escape(value)}</span>'


def told(kind: str, value: Any, attributes: Mapping[str, str]) -> str:
    """The value in words, "" for none."""
    if kind in YES_OR_NO:
        return "yes" if value else "no"
    if kind in SLIDING:
        steps = json.loads(attributes.get("data-steps", "null")) or []
        value = [steps[int(each)] if steps else each for each in (value if isinstance(value, list) else [value])]
    if kind in ("date-range", "range-slider") and value:
        return " to ".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _json(element: Element, name: str) -> Any:
    return json.loads(element.attributes.get(name, "null"))
