"""What marimo would make alive stands still in a report, and nothing that it shows is lost unsaid."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable

import altair as alt
import marimo as mo
import polars as pl
import pytest

from workbench import charts
from workbench.reports import ReportError
from workbench.reports.still import Still

DAYS = pl.DataFrame({"day": [dt.date(2026, 1, n) for n in range(1, 20)], "n": list(range(19))})
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def shown(output: object, still: Still | None = None) -> str:
    """What a report has of an output."""
    with alt.renderers.enable("mimetype"), alt.data_transformers.enable("default", max_rows=None):
        return (still or Still()).html(mo.as_html(output).text)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: mo.ui.dropdown({"Last 7 days": 7, "Last 28 days": 28}, value="Last 28 days", label="Period"),
         "<b>Period</b> Last 28 days"),
        (lambda: mo.ui.multiselect(["a", "b", "c"], value=["a", "c"], label="Types"), "<b>Types</b> a, c"),
        (lambda: mo.ui.radio(["a", "b"], value="b"), ">b<"),
        (lambda: mo.ui.slider(1, 10, value=4, label="Steps"), "<b>Steps</b> 4"),
        (lambda: mo.ui.slider(steps=[10, 20, 30], value=20, label="Steps"), "<b>Steps</b> 20"),
        (lambda: mo.ui.range_slider(1, 10, value=[2, 5], label="Days"), "<b>Days</b> 2 to 5"),
        (lambda: mo.ui.date_range(start="2026-01-01", stop="2026-02-01", label="Dates"),
         "<b>Dates</b> 2026-01-01 to 2026-02-01"),
        (lambda: mo.ui.date(value="2026-01-31", label="Up to"), "<b>Up to</b> 2026-01-31"),
        (lambda: mo.ui.number(1, 5, value=2, label="At least"), "<b>At least</b> 2"),
        (lambda: mo.ui.checkbox(value=True, label="Everybody"), "<b>Everybody</b> yes"),
        (lambda: mo.ui.switch(label="Everybody"), "<b>Everybody</b> no"),
        (lambda: mo.ui.text(value=HOSTILE, label=HOSTILE), "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)  # fmt: skip
def test_an_input_says_what_it_is_set_to(made: Callable[[], object], told: str) -> None:
    assert told in shown(made())


@pytest.mark.parametrize(
    "made",
    [
        lambda: mo.ui.text(label="Named"),
        lambda: mo.ui.button(label="Go"),
        lambda: mo.ui.run_button(label="Go"),
        lambda: mo.download(data=b"x", filename="x.csv"),
        lambda: mo.ui.refresh(options=["1m"]),
        lambda: mo.ui.text(label="x").form(),
        lambda: mo.Html('<header class="wb-head"><h1>Overview</h1></header>'),
        lambda: mo.Html("<script>alert(1)</script>"),
    ],
)
def test_ways_to_what_a_file_cannot_give_are_left_out(made: Callable[[], object]) -> None:
    assert shown(made()).strip() == ""


def test_charts_are_pictures_in_several_widths_that_follow_day_and_night() -> None:
    figure = shown(mo.vstack([charts.line(DAYS, x="day", y="n", title="Users")]))
    assert figure.count("<svg ") == figure.count('role="img" aria-label=') == 3
    assert "light-dark(#0a5fa5, #7cc0f5)" in figure
    assert not re.search(r"<script|http(?!://www\.w3\.org/)|marimo|vega-embed", figure)
    assert shown(mo.ui.altair_chart(charts.bars(DAYS, x="day", y="n"))).count("<svg ") == 3
    assert shown(alt.Chart(DAYS).mark_bar().encode(x="day", y="n").properties(width=200)).count("<svg ") == 1


@pytest.mark.parametrize("made", [lambda chart: chart, mo.ui.altair_chart])
def test_bars_of_days_have_the_width_of_a_day_in_any_time_zone(
    made: Callable[[alt.Chart], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    days = DAYS.with_columns(until=pl.col("day") + pl.duration(days=1))
    ends = {"x": alt.X("day:T", scale=alt.Scale(type="utc")), "x2": "until", "y": alt.Y("n:Q", stack=None)}
    bars = alt.Chart(days).mark_bar().encode(**ends).properties(width=500)
    figures = []
    for zone in ("UTC", "Pacific/Auckland"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        figures.append(shown(mo.vstack([made(bars)])))
    monkeypatch.undo()
    time.tzset()
    assert figures[0] == figures[1]
    widths = [float(width) for width in re.findall(r'roledescription="bar" d="M[^h]*h([0-9.]+)v', figures[0])]
    assert len(widths) >= 18
    assert min(widths) > 1


def test_the_same_charts_are_the_same_bytes_and_names_within_them_are_their_own() -> None:
    steps = pl.DataFrame({"step": ["a", "b"], "n": [10, 4]})

    def page() -> str:
        still = Still()
        return "".join(shown(charts.funnel(steps, step="step", count="n"), still) for _ in range(2))

    first = page()
    assert first == page()
    names = re.findall(r' id="([^"]+)"', first)
    assert len(names) == len(set(names)) > 1
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= set(names)


def test_a_table_has_the_rows_of_its_first_page_and_says_how_many_there_are() -> None:
    table = shown(mo.ui.table(DAYS, selection=None, page_size=5))
    assert table.count("<tr>") == 6
    assert "The first 5 of 19 rows" in table
    assert 'class="wb-count">4<' in table
    assert "_marimo_row_id" not in shown(mo.ui.table(DAYS, selection="single"))
    whole = shown(mo.ui.table(pl.DataFrame({"name": [HOSTILE, None]}), selection=None))
    assert "&lt;img" in whole
    assert "The first" not in whole


def test_tabs_and_folded_parts_are_all_there_under_their_titles() -> None:
    tabs = shown(mo.ui.tabs({"One": mo.md("first"), "Two": mo.ui.table(DAYS, selection=None)}))
    assert re.search(r"<h3>One</h3>.*first.*<h3>Two</h3>.*<table", tabs, re.DOTALL)
    folded = shown(mo.accordion({"More & less": mo.stat(value="12", label="Users", caption="so far")}))
    assert "<h3>More &amp; less</h3>" in folded
    assert "<dt>Users</dt><dd><b>12</b><small>so far</small></dd>" in folded
    assert "careful" in shown(mo.callout("careful", kind="warn"))


def test_markup_is_kept_without_what_would_run_or_load_something() -> None:
    kept = shown(mo.Html('<p class="x" onclick="a()" style="color:red">A &lt;b&gt; &amp; <b>c</b></p>'))
    assert kept == '<p class="x" style="color:red">A &lt;b&gt; &amp; <b>c</b></p>'
    assert shown(mo.Html('<a href="javascript:a()">x</a><a href="/other">y</a>')) == "<a>x</a><a>y</a>"
    assert shown(mo.Html('<img src="https://example.com/x.png"><iframe src="x">y</iframe>')) == "<img>"
    assert 'viewbox="0 0 1 1"' in shown(mo.Html('<svg viewBox="0 0 1 1"><line x1="0"/></svg>'))


def test_what_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(ReportError, match=r"shows a mermaid, which cannot stand in a report"):
        shown(mo.mermaid("graph LR; a-->b"))
