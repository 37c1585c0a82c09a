"""Values as a page or a table shows them: short, and harmless whatever a tenant has sent.

Escaping for HTML is the template's; here what no escaping helps against is made visible: control
characters, those that turn the direction of text, and those that take no room.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

LONGEST = 160
"""Characters of a value that are shown; of a longer one its length is told too."""

# Controls, surrogates, separators of lines, direction marks and overrides, zero-width characters and tags.
TREACHEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A value to be shown: `length` is that of the whole text where it was cut, else None."""

    text: str
    is_number: bool = False
    length: int | None = None


def cell(value: object) -> Cell:
    """A value as a cell of a table."""
    if isinstance(value, bool) or value is None:
        return Cell(text={True: "true", False: "false", None: "null"}[value])
    if isinstance(value, int | float):
        return Cell(text=f"{value:,}" if isinstance(value, int) else f"{value:,.6g}", is_number=True)
    written = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    cut = written[:LONGEST]
    return Cell(text=harmless(cut), length=len(written) if len(written) > LONGEST else None)


def harmless(text: str) -> str:
    """The text with treacherous characters spelled out."""
    return TREACHEROUS.sub(_spell, text)


def moment(value: datetime) -> str:
    """A moment as people read it, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """How long something took."""
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60} s"


def count(number: int, noun: str) -> str:
    """So many of something: 1 row, 2 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    return NAMED.get(match[0], f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
