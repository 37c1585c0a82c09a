"""The colours: told apart by everybody, legible by day and by night."""

from __future__ import annotations

import itertools
import json

import altair as alt
import polars as pl
import pytest

from workbench.charts.grids import COLOUR, DARK, FAINTEST, ON_DARK, ON_PALE
from workbench.charts.theme import ACCENT, BAD, GOOD, INK, OTHERS, SERIES, SHEET, SOFT, Colour, one_sided, themed

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

# Machado, Oliveira, Fernandes 2009: what is left of linear RGB at full severity.
VISIONS: dict[str, Matrix] = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
TO_XYZ: Matrix = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = (0.9505, 1.0, 1.089)
APART = 15.0
"""In CIELAB; 2.3 can just be noticed side by side."""


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("side", ["day", "night"])
def test_any_two_series_can_be_told_apart(side: str, vision: str) -> None:
    seen = [_lab(_times(VISIONS[vision], _linear(getattr(colour, side)))) for colour in SERIES]
    assert min(_distance(one, other) for one, other in itertools.combinations(seen, 2)) > APART


@pytest.mark.parametrize("side", ["day", "night"])
def test_marks_stand_out_from_their_ground(side: str) -> None:
    assert min(_contrast(colour, SHEET, side) for colour in (*SERIES, OTHERS)) >= 3


@pytest.mark.parametrize("side", ["day", "night"])
def test_text_can_be_read(side: str) -> None:
    assert min(_contrast(colour, SHEET, side) for colour in (INK, SOFT, ACCENT, GOOD, BAD)) >= 4.5


@pytest.mark.parametrize("side", ["day", "night"])
def test_what_is_written_on_a_cell_can_be_read_however_dark_it_is(side: str) -> None:
    for percent in range(101):
        share = percent / 100
        opacity = FAINTEST + share * (1 - FAINTEST)
        cell = _over(getattr(COLOUR, side), getattr(SHEET, side), opacity)
        text = ON_DARK if share > DARK else ON_PALE
        assert _contrast(text, Colour(cell, cell), side) >= 4.5, percent


def test_a_colour_follows_the_page_that_shows_it() -> None:
    assert str(Colour("#000000", "#ffffff")) == "light-dark(#000000, #ffffff)"


def test_one_side_of_each_colour_is_left_for_what_cannot_read_css() -> None:
    chart = themed(alt.Chart(pl.DataFrame({"a": [1]})).mark_bar(color=str(ACCENT)).encode(x="a"))
    text = json.dumps(chart.to_dict())
    assert f'"{ACCENT.day}"' in one_sided(text, dark=False)
    assert f'"{ACCENT.night}"' in one_sided(text, dark=True)
    assert "light-dark" in text
    assert "light-dark" not in one_sided(text, dark=False) + one_sided(text, dark=True)


def test_a_themed_chart_is_drawn_as_svg_on_no_ground_of_its_own() -> None:
    spec = themed(alt.Chart(pl.DataFrame({"a": [1]})).mark_bar().encode(x="a")).to_dict()
    assert spec["usermeta"]["embedOptions"] == {"renderer": "svg", "actions": False}
    assert spec["config"]["background"] == "transparent"


def _over(colour: str, ground: str, opacity: float) -> str:
    mixed = (
        round(opacity * int(colour[place : place + 2], 16) + (1 - opacity) * int(ground[place : place + 2], 16))
        for place in (1, 3, 5)
    )
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _linear(colour: str) -> Triple:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return _gamma(red), _gamma(green), _gamma(blue)


def _gamma(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _times(matrix: Matrix, colour: Triple) -> Triple:
    one, two, three = (min(max(sum(a * b for a, b in zip(row, colour, strict=True)), 0), 1) for row in matrix)
    return one, two, three


def _lab(colour: Triple) -> Triple:
    x, y, z = (
        sum(a * b for a, b in zip(row, colour, strict=True)) / white for row, white in zip(TO_XYZ, WHITE, strict=True)
    )
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _distance(one: Triple, other: Triple) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


def _contrast(colour: Colour, ground: Colour, side: str) -> float:
    """By WCAG 2."""
    light, dark = sorted(
        (sum(a * b for a, b in zip(TO_XYZ[1], _linear(getattr(each, side)), strict=True)) for each in (colour, ground)),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)
