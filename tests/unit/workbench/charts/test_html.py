"""Figures as HTML: tiles, tables, sparklines, and numbers as people read them."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from workbench.charts import Column, Tile, numbers, sparkline, table, tiles
from workbench.charts.tiles import badge


@pytest.mark.parametrize(
    ("value", "read"),
    [(None, "–"), (0, "0"), (1234, "1,234"), (-1234, "−1,234"), (9_999_999, "9,999,999"), (12_345_678, "12.3 M")],
)
def test_a_count_is_read_whole_up_to_ten_millions(value: float | None, read: str) -> None:
    assert numbers.count(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [(None, "new"), (0.0, "0%"), (0.004, "0%"), (-0.004, "0%"), (0.126, "+13%"), (-1.0, "−100%"), (10.0, "×11")],
)
def test_a_change_is_read_in_whole_percent(value: float | None, read: str) -> None:
    assert numbers.change(value) == read


def test_a_difference_has_its_sign() -> None:
    assert [numbers.difference(value) for value in (3, 0, -3, None)] == ["+3", "0", "−3", "–"]


def test_shares_and_ratios_have_one_decimal() -> None:
    assert (numbers.share(0.1234), numbers.ratio(1234.56), numbers.share(None)) == ("12.3%", "1,234.6", "–")


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (0.5, '<span class="wb-badge wb-up">▲ +50%</span>'),
        (-0.5, '<span class="wb-badge wb-down">▼ −50%</span>'),
        (0.001, '<span class="wb-badge">0%</span>'),
        (None, '<span class="wb-badge">new</span>'),
    ],
)
def test_a_direction_is_shown_by_an_arrow_too(value: float | None, html: str) -> None:
    assert badge(value) == html


def test_a_tile_says_what_it_is_compared_with() -> None:
    html = tiles([Tile(label="Events", value="12", change=0.2, before="10", told="1–3 Mar")])
    assert "<dt>Events</dt><dd><b>12</b>" in html
    assert "▲ +20%</span><span>from 10</span>" in html
    assert "<small>1–3 Mar</small>" in html


def test_a_tile_without_anything_before_compares_nothing() -> None:
    assert '<span class="wb-compared"></span>' in tiles([Tile(label="Events", value="12")])


def test_a_tenants_words_are_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    frame = pl.DataFrame({"name": [hostile], "n": [1]})
    html = table(frame, [Column("name", hostile), Column("n", "n", "count")], told='"><b>')
    html += tiles([Tile(label=hostile, value=hostile, before=hostile, told=hostile)])
    html += sparkline([1], told='"><script>')
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6


def test_a_table_shows_each_kind_of_value() -> None:
    frame = pl.DataFrame(
        {
            "name": ["a"],
            "n": [1234],
            "part": [0.25],
            "change": [-0.5],
            "moved": [-3],
            "day": [date(2026, 3, 2)],
            "trend": [[1, 2]],
            "none": pl.Series([None], dtype=pl.Float64),
        }
    )
    columns = [
        Column("name", "Name"),
        Column("n", "N", "count"),
        Column("part", "Part", "bar"),
        Column("change", "Change", "change", minor=True),
        Column("moved", "Moved", "moved"),
        Column("day", "Day", "day"),
        Column("trend", "Trend", "trend"),
        Column("none", "None", "ratio"),
    ]
    html = table(frame, columns, told="Things")
    assert '<th scope="row">a</th><td class="wb-count">1,234</td>' in html
    assert '<i style="width:25.0%"></i></span><span class="wb-figure">25.0%</span>' in html
    assert '<td class="wb-change wb-minor"><span class="wb-badge wb-down">▼ −50%</span></td>' in html
    assert '<span class="wb-badge wb-down">▼ −3</span>' in html
    assert "<time>2 Mar 2026</time>" in html
    assert 'aria-label="Trend: 1, 2"' in html
    assert '<td class="wb-ratio">–</td>' in html


def test_a_sparkline_goes_from_zero_to_the_largest() -> None:
    html = sparkline([0, 5, 10], told="Events", width=106, height=26)
    assert '<polyline points="3,23 53,13 103,3"/>' in html
    assert '<circle cx="103" cy="3" r="2.2"/>' in html


def test_a_missing_value_interrupts_a_sparkline() -> None:
    html = sparkline([1, 2, None, 3, 4], told="Events")
    assert html.count("<polyline") == 2


@pytest.mark.parametrize("values", [[], [None], [0, 0, 0], [7]])
def test_a_sparkline_of_little_or_nothing_is_drawn(values: list[int | None]) -> None:
    html = sparkline(values, told="Events")
    assert html.startswith("<svg")
    assert "nan" not in html
    assert "inf" not in html
