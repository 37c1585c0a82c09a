"""Retention as people read it."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from workbench.analysis.retention import Retention
from workbench.charts import retention as pictures

ASKED = Retention(period="month")
CELLS = pl.DataFrame(
    {
        "cohort": [date(2026, 1, 1)] * 2,
        "users": [4, 4],
        "n": [0, 1],
        "starts_on": [date(2026, 1, 1), date(2026, 2, 1)],
        "retained": [4, 1],
        "share": [1.0, 0.25],
        "open": [False, True],
    }
)


def written(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in chart["datasets"].values() for row in rows]


def test_the_headline_has_a_dash_where_no_cohort_is_old_enough() -> None:
    average = pl.DataFrame({"n": [0, 1], "users": [4, 1], "share": [1.0, 0.25]})
    html = pictures.headline(4, average, ASKED)
    assert "25.0%" in html
    assert "Of 1 user, on average" in html
    assert html.count("No cohort is that old yet") == 3


def test_the_heat_map_names_cohorts_and_marks_what_is_not_over() -> None:
    rows = written(pictures.heat(CELLS, ASKED, counts=False).to_dict())
    assert {row["Cohort"] for row in rows} == {"Jan 2026  (4)"}
    assert {(row["n"], bool(row["_open"])) for row in rows} == {(0, False), (1, True)}


def test_the_average_is_drawn_in_the_order_of_the_periods() -> None:
    average = pl.DataFrame({"n": [0, 2, 10], "users": [9, 9, 9], "share": [1.0, 0.5, 0.25]})
    rows = written(pictures.curve(average).to_dict())
    assert [row["n"] for row in rows][:3] == [0, 2, 10]


def test_segments_come_the_largest_first_with_their_shares() -> None:
    sizes = pl.DataFrame({"segment": ["a", "b"], "users": [1, 2]})
    average = pl.DataFrame({"segment": ["a", "b"], "n": [1, 1], "share": [0.5, 0.25]})
    html = pictures.segments(average, sizes, ASKED)
    assert html.index(">b<") < html.index(">a<")
    assert "50.0%" in html


def test_what_is_counted_is_told_in_words() -> None:
    asked = Retention(period="week", kind="unbounded", first_type="commit", return_type="merge")
    assert "by the week of their first commit" in pictures.told(asked)
    assert "the event merge in that period or any later one so far" in pictures.told(asked)
