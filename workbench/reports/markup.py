"""HTML as a tree and back: what a notebook's cells put out, taken apart. It knows no element but those without end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
RAW = frozenset({"style", "script"})
"""Elements whose text is no HTML."""
DROPPED = frozenset({"script", "iframe", "object", "embed", "base", "link", "meta", "noscript", "template"})
ELSEWHERE = re.compile(r"(?:https?:|mailto:|#)", re.IGNORECASE)
INSIDE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,", re.IGNORECASE)


@dataclass
class Element:
    """An element with its attributes and what is in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def elements(self) -> Iterator[Element]:
        """The elements directly in it."""
        return (child for child in self.children if isinstance(child, Element))

    def text(self) -> str:
        """All text in it."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)


def parse(html: str) -> Element:
    """The tree of a fragment, under an element without a name. What is not closed ends with its parent."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


def opening(element: Element) -> str:
    """The start tag, without attributes that would run something, or load it from elsewhere."""
    kept = "".join(f' {name}="{escape(value)}"' for name, value in element.attributes.items() if _is_kept(name, value))
    return f"<{element.tag}{kept}>"


def text_of(html: str) -> str:
    """The text of a fragment, in one line."""
    return " ".join(parse(html).text().split())


def _is_kept(name: str, value: str) -> bool:
    if name.startswith("on") or name in ("srcset", "action", "formaction", "xlink:href", "srcdoc"):
        return False
    if name == "href":
        return ELSEWHERE.match(value) is not None
    return name != "src" or INSIDE.match(value) is not None


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._add(tag, attrs)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        place = next((n for n in range(len(self._open) - 1, 0, -1) if self._open[n].tag == tag), None)
        if place is not None:
            del self._open[place:]

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> Element:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        return element
