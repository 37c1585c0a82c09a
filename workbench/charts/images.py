"""A chart as a picture, for a download or a document: drawn here, without a browser."""

from __future__ import annotations

import json

import altair as alt
import vl_convert

from workbench.charts.theme import SHEET, one_sided

WIDTH = 900
"""Of a chart that takes the width of what holds it, in CSS pixels."""
SCALE = 2.0


def png(chart: alt.TopLevelMixin, *, dark: bool = False) -> bytes:
    """The chart on its ground, two pixels to a CSS pixel."""
    return vl_convert.vegalite_to_png(_specification(chart, dark=dark), scale=SCALE)


def svg(chart: alt.TopLevelMixin, *, dark: bool = False) -> str:
    """The chart on its ground."""
    return vl_convert.vegalite_to_svg(_specification(chart, dark=dark))


def _specification(chart: alt.TopLevelMixin, *, dark: bool) -> str:
    with alt.data_transformers.enable("default", max_rows=None):
        spec = chart.to_dict()
    if spec.get("width") == "container":
        spec["width"] = WIDTH
    spec.setdefault("config", {})["background"] = str(SHEET)
    return one_sided(json.dumps(spec), dark=dark)
