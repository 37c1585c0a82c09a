"""Figures as people read them."""

from __future__ import annotations

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"
MILLION, BILLION = 1_000_000, 1_000_000_000


def count(value: float | None) -> str:
    """1,234; from ten millions on 12.3 M. A dash for None."""
    if value is None:
        return NOTHING
    for size, letter in ((BILLION, "B"), (MILLION, "M")):
        if abs(value) >= 10 * size:
            return f"{value / size:,.1f} {letter}".replace("-", MINUS)
    return f"{value:,.0f}".replace("-", MINUS)


def share(value: float | None) -> str:
    """12.3% for 0.123. A dash for None."""
    return NOTHING if value is None else f"{100 * value:.1f}%"


def ratio(value: float | None) -> str:
    """1,234.5. A dash for None."""
    return NOTHING if value is None else f"{value:,.1f}".replace("-", MINUS)


def difference(value: float | None) -> str:
    """+1,234 or −1,234. A dash for None."""
    return NOTHING if value is None else f"{'+' if value > 0 else ''}{count(value)}"


def change(value: float | None) -> str:
    """+12% for 0.12; from tenfold on ×11. "new" for None: there was nothing to compare with."""
    if value is None:
        return "new"
    if value >= 10:
        return f"×{value + 1:,.0f}"
    rounded = round(100 * value)
    return f"{'+' if rounded > 0 else ''}{rounded}%".replace("-", MINUS)
