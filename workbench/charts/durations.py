"""Lengths of time as people read them."""

from __future__ import annotations

from workbench.charts.numbers import NOTHING

UNITS = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def duration(seconds: float | None) -> str:
    """2.5 days, 3 h, 12 min, 40 s, "at once" below a second. A dash for None."""
    if seconds is None:
        return NOTHING
    for size, unit in UNITS:
        if seconds >= size:
            amount = seconds / size
            told = f"{amount:,.0f}" if amount >= 10 or unit == "s" else f"{amount:.1f}".removesuffix(".0")
            return f"{told} {'day' if told == '1' and unit == 'days' else unit}"
    return "at once"
