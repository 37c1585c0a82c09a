"""A line the size of a word, as SVG to be put into a table: hundreds of them cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, EDGE = 96.0, 26.0, 3.0
"""In CSS pixels; the edge keeps the line and its last point whole."""


def sparkline(values: Sequence[float | int | None], *, told: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """SVG markup of the values from zero to the largest, the last one marked; a missing one interrupts the line.

    `told` says the same in words, for those who do not see it.
    """
    points = _points(values, width, height)
    runs = [" ".join(f"{x:g},{y:g}" for x, y in run) for run in points if len(run) > 1]
    drawn = "".join(f'<polyline points="{run}"/>' for run in runs)
    last = points[-1][-1] if points else None
    dot = f'<circle cx="{last[0]:g}" cy="{last[1]:g}" r="2.2"/>' if last else ""
    base = f'<line x1="{EDGE:g}" x2="{width - EDGE:g}" y1="{height - EDGE:g}" y2="{height - EDGE:g}"/>'
    return (
        f'<svg class="wb-spark" role="img" aria-label="{escape(told)}" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">{base}{drawn}{dot}</svg>'
    )


def _points(values: Sequence[float | int | None], width: float, height: float) -> list[list[tuple[float, float]]]:
    """The points of each uninterrupted run, from left to right."""
    most = max((value for value in values if value is not None), default=0)
    step = (width - 2 * EDGE) / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        up = (value / most if most > 0 else 0) * (height - 2 * EDGE)
        runs[-1].append((round(EDGE + place * step, 2), round(height - EDGE - up, 2)))
    return [run for run in runs if run]
