"""What the builders draw, read from the charts' own specification."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import altair as alt
import polars as pl
import pytest

from workbench.charts import COUNT, SHARE, bars, funnel, heat_map, line, png, svg
from workbench.charts.theme import OTHERS, SERIES

DAYS = pl.DataFrame(
    {
        "day": [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)],
        "users": [3, 5, 1],
        "is_open": [False, False, True],
    }
)
COHORTS = pl.DataFrame(
    {
        "cohort": ["March", "March", "April"],
        "week": ["0", "1", "0"],
        "rate": [1.0, 0.25, None],
        "users": [8, 2, 0],
        "is_open": [False, True, False],
    }
)
STEPS = pl.DataFrame({"step": ["Seen", "Tried"], "users": [1200, 300], "rate": [1.0, 0.25]})


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """A chart's Vega-Lite, with the data in place."""
    with alt.data_transformers.enable("default", max_rows=None, consolidate_datasets=False):
        return dict(chart.to_dict())


def rows(layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of a layer."""
    return list(layer["data"]["values"])


def test_every_chart_is_as_wide_as_what_holds_it() -> None:
    charts: list[alt.TopLevelMixin] = [
        line(DAYS, x="day", y="users"),
        bars(DAYS, x="day", y="users"),
        heat_map(COHORTS, x="week", y="cohort", value="rate"),
        funnel(STEPS, step="step", count="users"),
    ]
    assert {specification(chart)["width"] for chart in charts} == {"container"}


def test_days_are_those_of_utc_and_are_told_in_words() -> None:
    solid = specification(line(DAYS, x="day", y="users"))["layer"][0]
    assert solid["encoding"]["x"]["scale"] == {"type": "utc"}
    assert rows(solid)[0]["day"].startswith("2026-03-01T00:00:00")
    assert rows(solid)[0]["day"].endswith(("+0000", "+00:00", "Z"))
    assert rows(solid)[0]["_when"] == "Sun 1 Mar 2026"


@pytest.mark.parametrize(
    ("grain", "told"), [("week", "Week of 2 Mar 2026"), ("month", "March 2026"), ("hour", "2 Mar 2026, 09:00")]
)
def test_a_moment_is_told_as_the_period_it_begins(grain: Any, told: str) -> None:
    frame = pl.DataFrame({"at": [datetime(2026, 3, 2, 9, tzinfo=UTC)], "n": [1]})
    assert rows(specification(line(frame, x="at", y="n", grain=grain))["layer"][0])[0]["_when"] == told


def test_the_way_to_a_period_that_is_not_over_is_dashed() -> None:
    solid, dashed, *_ = specification(line(DAYS, x="day", y="users", unfinished="is_open"))["layer"]
    assert [row["users"] for row in rows(solid)] == [3, 5]
    assert "strokeDash" in dashed["mark"]
    assert [row["users"] for row in rows(dashed)] == [5, 1]


def test_each_series_has_its_own_dashed_way() -> None:
    two = pl.concat([DAYS.with_columns(of=pl.lit("a")), DAYS.with_columns(of=pl.lit("b"), users=pl.col("users") * 10)])
    dashed = specification(line(two, x="day", y="users", series="of", unfinished="is_open"))["layer"][1]
    assert sorted((row["of"], row["users"]) for row in rows(dashed)) == [("a", 1), ("a", 5), ("b", 10), ("b", 50)]


def test_the_value_of_all_points_is_told_at_the_pointer() -> None:
    points = specification(line(DAYS, x="day", y="users", title="Users", unfinished="is_open"))["layer"][-1]
    assert len(rows(points)) == 3
    assert [tip["field"] for tip in points["encoding"]["tooltip"]] == ["_when", "users"]
    assert points["encoding"]["tooltip"][1]["title"] == "Users"


def test_a_series_keeps_its_colour_and_the_faint_one_lies_below() -> None:
    two = pl.concat([DAYS.with_columns(of=pl.lit("now")), DAYS.with_columns(of=pl.lit("before"))])
    solid = specification(line(two, x="day", y="users", series="of", order=["now", "before"], faint="before"))["layer"][
        0
    ]
    assert solid["encoding"]["color"]["scale"] == {"domain": ["now", "before"], "range": [str(SERIES[0]), str(OTHERS)]}
    assert rows(solid)[0]["of"] == "before"


def test_more_series_than_colours_share_the_colour_of_the_others() -> None:
    many = pl.DataFrame({"day": [date(2026, 3, 1)] * 8, "n": [1] * 8, "of": list("abcdefgh")})
    colours = specification(line(many, x="day", y="n", series="of"))["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert colours == [*map(str, SERIES), str(OTHERS), str(OTHERS)]


def test_counts_have_no_ticks_between_whole_numbers() -> None:
    axis = specification(bars(DAYS, x="day", y="users"))["encoding"]["y"]["axis"]
    assert axis == {"format": COUNT, "tickMinStep": 1}


def test_a_standing_bar_spans_its_period() -> None:
    frame = pl.DataFrame({"month": [date(2026, 1, 1), date(2026, 2, 1)], "n": [1, 2]})
    spec = specification(bars(frame, x="month", y="n", grain="month"))
    assert [row["_until"][:10] for row in rows(spec)] == ["2026-02-01", "2026-03-01"]
    assert spec["encoding"]["x2"]["field"] == "_until"


def test_bars_between_moments_stand() -> None:
    frame = pl.DataFrame({"month": [date(2026, 1, 1)], "n": [1]})
    assert specification(bars(frame, x="month", y="n", grain="month"))["mark"]["orient"] == "vertical"


@pytest.mark.parametrize("values", [[], [0, 0], [None, None]])
def test_an_axis_of_nothing_but_zeros_goes_up_to_one(values: list[int | None]) -> None:
    names = [str(each) for each in range(len(values))]
    frame = pl.DataFrame({"name": names, "n": values}, schema={"name": pl.String(), "n": pl.Int64()})
    assert specification(bars(frame, x="name", y="n"))["encoding"]["y"]["scale"] == {"domain": [0, 1]}


def test_lying_bars_keep_the_order_of_the_frame() -> None:
    frame = pl.DataFrame({"name": ["z", "a"], "n": [2, 1]})
    spec = specification(bars(frame, x="name", y="n", across=True))
    assert spec["encoding"]["y"]["field"] == "name"
    assert spec["encoding"]["y"]["sort"] is None
    assert spec["height"] == 52


def test_cells_without_a_value_stay_empty() -> None:
    cells = specification(heat_map(COHORTS, x="week", y="cohort", value="rate"))["layer"][0]
    assert [row["rate"] for row in rows(cells)] == [1.0, 0.25]


def test_cells_of_a_time_that_is_not_over_are_outlined_and_say_so() -> None:
    _, outlined, *_ = specification(heat_map(COHORTS, x="week", y="cohort", value="rate", unfinished="is_open"))[
        "layer"
    ]
    assert [row["rate"] for row in rows(outlined)] == [0.25]
    assert "strokeDash" in outlined["mark"]
    assert outlined["encoding"]["tooltip"][-1]["title"] == "Not over yet"


def test_figures_are_written_on_cells_only_where_there_is_room() -> None:
    written = specification(heat_map(COHORTS, x="week", y="cohort", value="rate"))["layer"][-1]
    assert written["mark"]["opacity"] == {"expr": "width < 68 ? 0 : 1"}
    silent = specification(heat_map(COHORTS, x="week", y="cohort", value="rate", written=False))
    assert {layer["mark"]["type"] for layer in silent["layer"]} == {"rect"}


def test_a_heat_map_of_nothing_but_zeros_is_drawn() -> None:
    spec = specification(heat_map(COHORTS.with_columns(rate=pl.lit(0.0)), x="week", y="cohort", value="rate"))
    assert spec["layer"][0]["encoding"]["fillOpacity"]["scale"]["domain"] == [0, 1]


def test_a_step_tells_its_count_and_its_share() -> None:
    spec = specification(funnel(STEPS, step="step", count="users", share="rate"))
    assert [row["_written"] for row in rows(spec)] == ["1,200  ·  100.0%", "300  ·  25.0%"]


def test_a_funnel_that_nobody_entered_is_drawn() -> None:
    nobody = STEPS.with_columns(users=pl.lit(0), rate=pl.lit(None, pl.Float64))
    spec = specification(funnel(nobody, step="step", count="users", share="rate"))
    assert [row["_written"] for row in rows(spec)] == ["0", "0"]


@pytest.mark.parametrize(
    "chart",
    [
        line(DAYS, x="day", y="users", unfinished="is_open"),
        line(DAYS.clear(), x="day", y="users"),
        bars(DAYS, x="day", y="users", number=SHARE),
        heat_map(COHORTS, x="week", y="cohort", value="rate", unfinished="is_open"),
        heat_map(COHORTS.clear(), x="week", y="cohort", value="rate"),
        funnel(STEPS, step="step", count="users", share="rate"),
    ],
    ids=["line", "no line", "bars", "heat map", "no heat map", "funnel"],
)
def test_a_chart_is_a_picture_by_day_and_by_night(chart: alt.TopLevelMixin) -> None:
    day, night = svg(chart), svg(chart, dark=True)
    assert "light-dark" not in day + night
    assert day != night
    assert png(chart).startswith(b"\x89PNG")
