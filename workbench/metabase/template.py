"""SQL with tags, as Metabase reads it.

`{{tag}}` stands for a value, and `[[ ... ]]` is left out where a tag in it has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

import msgspec

TOKEN = re.compile(r"\{\{\s*([A-Za-z_][\w-]*)\s*\}\}|(\[\[)|(\]\])")


class Malformed(Exception):
    """The brackets of a template do not fit together."""


class Part(msgspec.Struct, frozen=True):
    """A stretch of text, or a tag; `group` numbers the brackets that it stands in, None if it stands in none."""

    text: str
    is_tag: bool
    group: int | None


class Template(msgspec.Struct, frozen=True):
    """A query before its tags have values."""

    parts: tuple[Part, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag once, in the order in which they come."""
        return tuple(dict.fromkeys(part.text for part in self.parts if part.is_tag))

    @property
    def required(self) -> frozenset[str]:
        """Tags that stand outside of brackets somewhere: without a value the query cannot run."""
        return frozenset(part.text for part in self.parts if part.is_tag and part.group is None)

    @property
    def optional(self) -> frozenset[str]:
        """Tags that stand within brackets somewhere."""
        return frozenset(part.text for part in self.parts if part.is_tag and part.group is not None)

    def render(self, given: Collection[str], value: Callable[[str], str]) -> str:
        """The SQL with each tag replaced by `value(tag)`, and without the brackets of which a tag is not given."""
        dropped = {part.group for part in self.parts if part.is_tag and part.text not in given} - {None}
        kept = (part for part in self.parts if part.group is None or part.group not in dropped)
        return "".join(value(part.text) if part.is_tag else part.text for part in kept)


def parse(sql: str) -> Template:
    """The template of a query. Raises Malformed."""
    parts = tuple(_parts(sql))
    with_tag = {part.group for part in parts if part.is_tag}
    if any(part.group is not None and part.group not in with_tag for part in parts):
        raise Malformed("has brackets [[ ]] without a tag in them")
    if any(mark in part.text for part in parts if not part.is_tag for mark in ("{{", "}}")):
        raise Malformed("has {{ or }} that is no tag")
    return Template(parts)


def _parts(sql: str) -> Iterator[Part]:
    group: int | None = None
    groups = at = 0
    for found in TOKEN.finditer(sql):
        if found.start() > at:
            yield Part(sql[at : found.start()], False, group)
        at = found.end()
        tag, opens, closes = found.groups()
        if tag:
            yield Part(tag, True, group)
        elif opens:
            if group is not None:
                raise Malformed("has brackets [[ within brackets")
            group, groups = groups, groups + 1
        elif closes:
            if group is None:
                raise Malformed("has brackets ]] that were not opened")
            group = None
    if group is not None:
        raise Malformed("has brackets [[ that are not closed")
    if at < len(sql):
        yield Part(sql[at:], False, None)
