"""One look for every chart: colours by day and by night, type, and the furniture around the marks.

A colour is written as CSS `light-dark(day, night)`, so that a chart follows the page that shows it, whatever
its reader prefers and whenever that changes; charts are therefore drawn as SVG, which `usermeta` asks of the
page. What cannot read CSS gets one side of each colour: see `one_sided` and `workbench.charts.images`.

The series colours can be told apart with the common kinds of colour blindness, and stand out from both grounds.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeVar

import altair as alt


class Colour(NamedTuple):
    """A colour for a light page and one for a dark page, as #rrggbb."""

    day: str
    night: str

    def __str__(self) -> str:
        return f"light-dark({self.day}, {self.night})"


INK = Colour("#17202b", "#e7ecf1")
SOFT = Colour("#566271", "#a3b0bd")
LINE = Colour("#e3e8ed", "#303a44")
SHEET = Colour("#ffffff", "#181c1a")
ACCENT = Colour("#0a5fa5", "#7cc0f5")
GOOD = Colour("#0a6b55", "#5fd0b0")
BAD = Colour("#b23a06", "#ff9d6c")

SERIES = (
    ACCENT,
    Colour("#d27706", "#ec8a5f"),
    Colour("#00a387", "#1fdcae"),
    Colour("#6a2c66", "#a978e0"),
    Colour("#8e9456", "#e4c94d"),
    Colour("#4f4e48", "#98a2ad"),
)
OTHERS = Colour("#8793a0", "#7d8996")
"""What is lumped together, or stands in the background."""

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
COUNT, SHARE, RATIO = ",d", ".1%", ",.2f"
"""Number formats, in d3's notation."""

TICKS, NARROW = 5, 380
"""About how many values a vertical axis names; and up to what width, in CSS pixels, a legend is a list."""

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart, alt.VConcatChart, alt.HConcatChart, alt.FacetChart)

TWO_SIDED = re.compile(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
AS_SVG = {"embedOptions": {"renderer": "svg", "actions": False}}


def themed(chart: AnyChart) -> AnyChart:
    """The chart in our look; for the outermost chart only, since parts of a composition carry none of their own."""
    dressed: AnyChart = chart.configure(**configuration()).properties(usermeta=AS_SVG)
    return dressed


def configuration() -> dict[str, Any]:
    """What Vega-Lite takes under `config`."""
    text = {"labelFont": FONT, "titleFont": FONT, "labelColor": str(SOFT), "titleColor": str(SOFT)}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": {"left": 2, "right": 6, "top": 6, "bottom": 2},
        "view": {"stroke": None, "continuousHeight": 240},
        "axis": {
            **text,
            "labelFontSize": 11.5,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "labelPadding": 6,
            "titlePadding": 8,
            "domain": False,
            "ticks": False,
            "gridColor": str(LINE),
            "labelOverlap": "greedy",
        },
        "axisX": {"grid": False, "domain": True, "domainColor": str(LINE), "labelFlush": True},
        "axisY": {"tickCount": TICKS},
        "legend": {
            **text,
            "labelFontSize": 11.5,
            "labelColor": str(INK),
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "orient": "top",
            "title": None,
            "symbolType": "circle",
            "symbolSize": 70,
            "symbolStrokeWidth": 0,
            "labelLimit": 180,
            "columnPadding": 16,
            "offset": 8,
            "columns": {"expr": f"width < {NARROW} ? 1 : 0"},
        },
        "title": {
            "font": FONT,
            "fontSize": 13,
            "fontWeight": 600,
            "color": str(INK),
            "anchor": "start",
            "subtitleFont": FONT,
            "subtitleColor": str(SOFT),
            "subtitleFontSize": 11.5,
            "offset": 12,
        },
        "header": {**text, "labelFontSize": 11.5, "titleFontSize": 11.5},
        "mark": {"color": str(ACCENT)},
        "line": {"strokeWidth": 2, "strokeCap": "round", "strokeJoin": "round"},
        "bar": {"cornerRadiusEnd": 2},
        "rule": {"color": str(SOFT)},
        "text": {"font": FONT, "fontSize": 11.5, "color": str(INK)},
        "range": {"category": [str(colour) for colour in SERIES]},
    }


def number_axis(number: str) -> alt.Axis:
    """The axis of a value: as few decimals as its ticks need, and none where things are counted."""
    if number == COUNT:
        return alt.Axis(format=number, tickMinStep=1)
    return alt.Axis(format={SHARE: "%", RATIO: ",f"}.get(number, number))


def one_sided(text: str, *, dark: bool) -> str:
    """Any text (JSON, SVG) with each two-sided colour replaced by that of a dark, or of a light page."""
    return TWO_SIDED.sub(r"\2" if dark else r"\1", text)
