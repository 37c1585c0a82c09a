"""What a notebook's cells put out, standing still: charts become pictures, inputs say what they are set to.

Everything that marimo's page would make alive is known here by name; what is not known is refused, so that
a report never lacks something unsaid.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

from workbench.reports import inputs, tables
from workbench.reports.errors import ReportError
from workbench.reports.markup import DROPPED, RAW, VOID, Element, opening, parse, text_of
from workbench.reports.pictures import Pictures

MARIMO = "marimo-"
VEGA_LITE = "vnd.vegalite"
# Ways to what a file cannot give; and the page's own furniture.
GONE = frozenset(
    f"{MARIMO}{name}"
    for name in (
        *("button", "download", "file", "file-browser", "form", "refresh", "progress", "nav-menu", "sidebar"),
        *("cell-output", "code-editor", "microphone", "chatbot"),
    )
)


class Still:
    """Makes the outputs of one page stand still, one after the other."""

    def __init__(self) -> None:
        self._pictures = Pictures()
        self._ways: dict[str, Callable[[Element], str]] = {
            "ui-element": self._inside,
            "dict": self._inside,
            "array": self._inside,
            "batch": self._inside,
            "mime-renderer": self._mime,
            "vega": lambda element: self._pictures.draw(_json(element, "data-spec")),
            "table": tables.table,
            "tabs": self._parts,
            "accordion": self._parts,
            "callout-output": self._callout,
            "stat": _stat,
            "json-output": _as_json,
        }

    def html(self, output: str) -> str:
        """The HTML of a cell's output, as HTML that needs nothing. Raises ReportError for what cannot stand still."""
        return self._inside(parse(output))

    def _inside(self, element: Element) -> str:
        return "".join(
            escape(each, quote=False) if isinstance(each, str) else self._of(each) for each in element.children
        )

    def _of(self, element: Element) -> str:
        if element.tag in DROPPED or element.tag in GONE or _is_head(element):
            return ""
        if element.tag.startswith(MARIMO):
            return self._marimo(element)
        if element.tag in VOID:
            return opening(element)
        inner = element.text() if element.tag in RAW else self._inside(element)
        return f"{opening(element)}{inner}</{element.tag}>"

    def _marimo(self, element: Element) -> str:
        name = element.tag.removeprefix(MARIMO)
        if name in inputs.KNOWN:
            return inputs.setting(element)
        way = self._ways.get(name)
        if way is None:
            raise ReportError(
                f"The notebook shows a {name.replace('-', ' ')}, which cannot stand in a report.",
                remedy="Show it as a chart, a table or text.",
            )
        return way(element)

    def _mime(self, element: Element) -> str:
        mime, data = _json(element, "data-mime"), _json(element, "data-data")
        found = _bundle(data) if mime.endswith("mimebundle") else {mime: data}
        spec = next((each for kind, each in found.items() if VEGA_LITE in kind), None)
        if spec is not None:
            return self._pictures.draw(json.loads(spec) if isinstance(spec, str) else spec)
        if "text/html" in found:
            return self.html(found["text/html"])
        if "image/png" in found:
            return opening(Element("img", {"src": found["image/png"], "alt": ""}))
        if "text/plain" in found:
            return f"<pre>{escape(str(found['text/plain']), quote=False)}</pre>"
        raise ReportError(f"The notebook shows {', '.join(found)}, which cannot stand in a report.")

    def _parts(self, element: Element) -> str:
        """Tabs, or folded parts: all of them, each under its title."""
        labels = _json(element, "data-tabs" if element.tag.endswith("tabs") else "data-labels")
        parts = zip(labels, element.elements(), strict=False)
        return "".join(
            f'<section class="wr-part"><h3>{escape(text_of(label))}</h3>{self._inside(part)}</section>'
            for label, part in parts
        )

    def _callout(self, element: Element) -> str:
        return f'<aside class="wb-banner">{self.html(_json(element, "data-html"))}</aside>'


def _bundle(data: Any) -> dict[str, Any]:
    """What is shown, by its kinds; marimo writes some as text, and with notes about it."""
    found = json.loads(data) if isinstance(data, str) else data
    first: dict[str, Any] = found[0] if isinstance(found, list) else found
    return first


def _is_head(element: Element) -> bool:
    """The notebook's own head: the page has one."""
    return element.tag == "header" and "wb-head" in element.attributes.get("class", "").split()


def _stat(element: Element) -> str:
    value, label, caption = (_json(element, f"data-{name}") for name in ("value", "label", "caption"))
    told = f"<small>{escape(str(caption))}</small>" if caption else ""
    return f'<dl class="wb-tile"><dt>{escape(str(label or ""))}</dt><dd><b>{escape(str(value))}</b>{told}</dd></dl>'


def _as_json(element: Element) -> str:
    return f"<pre>{escape(json.dumps(_json(element, 'data-json-data'), indent=2), quote=False)}</pre>"


def _json(element: Element, name: str) -> Any:
    return json.loads(element.attributes.get(name, "null"))
