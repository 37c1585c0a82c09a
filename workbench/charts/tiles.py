"""Headline figures side by side, each with what it is compared with, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from workbench.charts import numbers


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. Without `before` nothing is compared."""

    label: str
    value: str
    change: float | None = None
    before: str | None = None
    """The figure it is compared with, as it is to be read."""
    told: str = ""
    """Of which time, or of what, it is."""


def tiles(shown: Sequence[Tile]) -> str:
    """The tiles in as many columns as there is room for."""
    return f'<dl class="wb-tiles">{"".join(map(_tile, shown))}</dl>'


def badge(change: float | None) -> str:
    """By what part something changed, 0.12 for +12%; "new" for None."""
    return marked(None if change is None else round(100 * change), numbers.change(change))


def marked(direction: float | None, text: str) -> str:
    """A text with its direction, in colour and as an arrow: colour alone is not for everybody."""
    if direction is None or direction == 0:
        return f'<span class="wb-badge">{escape(text)}</span>'
    tone, arrow = ("up", "▲") if direction > 0 else ("down", "▼")
    return f'<span class="wb-badge wb-{tone}">{arrow} {escape(text)}</span>'


def _tile(tile: Tile) -> str:
    compared = "" if tile.before is None else f"{badge(tile.change)}<span>from {escape(tile.before)}</span>"
    return (
        f'<div class="wb-tile"><dt>{escape(tile.label)}</dt><dd><b>{escape(tile.value)}</b>'
        f'<span class="wb-compared">{compared}</span><small>{escape(tile.told)}</small></dd></div>'
    )
