"""The pictures of Explore and of the SQL notebook."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import altair as alt
import polars as pl
import pytest

from workbench import charts
from workbench.analysis.explore import Filter, Granularity, Measure, Question
from workbench.analysis.fields import Field
from workbench.analysis.statement import Asked, Shape, ended
from workbench.charts import explore, statement
from workbench.session import StatementFailed, TooManyRows

PATH = Field("path")
DAYS = [date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 4)]
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)


def question(measure: Measure = "events", granularity: Granularity | None = "day") -> Question:
    return Question(measure=measure, dimensions=(PATH,), granularity=granularity)


def over_time(measure: str) -> pl.DataFrame:
    return pl.DataFrame({"period": DAYS, "properties.path": ["a", None, "b"], measure: [3, 2, 1]})


def whole(measure: str, groups: int = 3) -> pl.DataFrame:
    names = ["a", None, "b", *(f"g{at}" for at in range(groups - 3))]
    return pl.DataFrame({"properties.path": names, measure: list(range(groups, 0, -1))})


def drawn_rows(chart: alt.TopLevelMixin) -> list[dict[str, Any]]:
    """The rows that a chart carries."""
    found: dict[str, Any] = chart.to_dict()
    (rows,) = found["datasets"].values()
    return list(rows)


def test_what_adds_up_is_stacked_with_the_rest_of_the_groups() -> None:
    rest = pl.DataFrame({"period": DAYS[:1], "properties.path": ["g5"], "events": [10]})
    shown = explore.draw(question(), pl.concat([over_time("events"), rest]), whole("events", 9))
    values = {(row["series"], row["events"]) for row in drawn_rows(shown.chart)}
    assert values == {("a", 3), ("(none)", 2), ("b", 1), ("(all others)", 10)}
    assert shown.told is None
    assert shown.chart.to_dict()["mark"]["type"] == "bar"


def test_what_does_not_add_up_is_drawn_as_lines_with_the_days_of_nobody() -> None:
    shown = explore.draw(question("active_users"), over_time("active_users"), whole("active_users", 9))
    rows = drawn_rows(shown.chart)
    assert [row["active_users"] for row in rows if row["series"] == "b"] == [0, 0, 0, 1]
    assert shown.told == "The 6 largest of 9 groups are drawn."
    assert shown.chart.to_dict()["mark"]["type"] == "line"


def test_a_mean_of_nothing_is_not_zero() -> None:
    mean = Question(measure="mean", number=Field("size"), dimensions=(PATH,), granularity="day")
    rows = drawn_rows(explore.draw(mean, over_time("mean"), whole("mean")).chart)
    assert [row["mean"] for row in rows if row["series"] == "b"] == [None, None, None, 1]


@pytest.mark.parametrize("measure", ["events", "active_users"])
def test_every_chart_over_time_has_one_brush_in_a_single_layer(measure: Measure) -> None:
    chart = explore.draw(question(measure), over_time(measure), whole(measure)).chart.to_dict()
    assert [(param["name"], param["select"]) for param in chart["params"]] == [
        ("brush", {"type": "interval", "encodings": ["x"]})
    ]
    assert "layer" not in chart


def test_integers_go_to_the_page_as_floats() -> None:
    chart = explore.draw(question(), over_time("events"), whole("events")).chart
    assert isinstance(chart.data, pl.DataFrame)
    assert chart.data.schema["events"] == pl.Float64


def test_bars_without_groups_have_their_height_and_width() -> None:
    whole_period = Question(granularity="day")
    figures = pl.DataFrame({"period": [DAYS[0], DAYS[2]], "events": [3, 1]})
    picture = charts.svg(explore.draw(whole_period, figures, figures.head(1).select("events")).chart)
    bars = re.findall(r'aria-roledescription="bar" d="([^"]*)"', picture)
    corners = [[tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+),([\d.]+)", bar)] for bar in bars]
    sizes = [[max(side) - min(side) for side in zip(*each, strict=True)] for each in corners]
    assert len(sizes) == 2
    assert all(width > 100 and height > 50 for width, height in sizes)


def test_two_groups_that_are_spelt_alike_stay_apart() -> None:
    two = Question(dimensions=(PATH, Field("b")), granularity="day")
    names = {"properties.path": ["a · b", "a"], "properties.b": ["c", "b · c"]}
    figures = pl.DataFrame({"period": DAYS[:2], **names, "events": [1, 2]})
    found, order = explore.series_of(two, figures, pl.DataFrame({**names, "events": [2, 1]}))
    assert order == ["a · b · c", "a · b · c (2)"]
    assert found["series"].n_unique() == 2


def test_charts_can_be_drawn_as_pictures() -> None:
    for chart in (
        explore.draw(question(), over_time("events"), whole("events")).chart,
        explore.draw(question("sessions"), over_time("sessions"), whole("sessions")).chart,
        explore.largest(question(), whole("events")),
    ):
        assert charts.png(chart).startswith(b"\x89PNG")


def test_the_totals_are_those_of_the_period_with_who_and_what_is_behind_them() -> None:
    events = pl.DataFrame(
        {
            "occurred_at": [JANUARY, JANUARY + timedelta(hours=1), JANUARY + timedelta(days=3)],
            "user_id": ["ann", None, "bob"],
            "session_id": ["s", "s", "t"],
        },
        schema_overrides={"occurred_at": pl.Datetime("us", "UTC")},
    )
    first_day = Question(measure="active_users", since=JANUARY, until=JANUARY + timedelta(days=1))
    page = explore.totals(first_day, events, is_part=True)
    assert "<dt>Active users</dt><dd><b>1</b>" in page
    assert "<dt>Events</dt><dd><b>2</b>" in page
    assert "<dt>Sessions</dt><dd><b>1</b>" in page
    assert page.count("1 Jan 2026, brushed") == 3


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (JANUARY, JANUARY + timedelta(days=14), "1–14 Jan 2026"),
        (JANUARY, JANUARY + timedelta(hours=5), "1 Jan 2026, 00:00 to 05:00 UTC"),
        (JANUARY, JANUARY + timedelta(days=1, hours=5), "1 Jan 2026, 00:00 to 2 Jan 2026, 05:00 UTC"),
    ],
)
def test_a_period_is_told_by_its_days_or_hours(since: datetime, until: datetime, told: str) -> None:
    assert explore.period_name(since, until) == told


def test_the_note_of_the_chart_tells_when_another_granularity_is_drawn() -> None:
    shown = explore.Drawn(alt.Chart(pl.DataFrame({"a": [1]})).mark_bar(), None)
    assert "too many hours" in explore.chart_note(question(), shown, wanted="hour")
    assert "too many" not in explore.chart_note(question(), shown, wanted="day")


def test_hostile_names_and_values_are_text_on_the_page() -> None:
    hostile = "<script>alert(1)</script>"
    assert "<script" not in explore.filter_name(hostile)
    assert "<script" not in explore.values({"value_1": hostile})
    tables = pl.DataFrame({"table": [hostile], "column": [hostile], "type": [hostile], "description": [hostile]})
    assert "<script" not in statement.schema(tables)
    error = StatementFailed(f"{hostile}\n{hostile}\n^", remedy=hostile)
    asked = Asked(number=1, text=hostile, most_rows=1, most_seconds=1)
    assert "<script" not in statement.refusal(ended(asked, error, at=JANUARY, seconds=1))
    too_many = TooManyRows(hostile, remedy=hostile, first=pl.DataFrame({"a": [1]}))
    assert "<script" not in statement.too_many(ended(asked, too_many, at=JANUARY, seconds=1))


def test_a_share_is_told_only_of_what_adds_up() -> None:
    assert explore.breakdown(question(), whole("events"))["share"].sum() == pytest.approx(1)
    assert "share" not in explore.breakdown(question("sessions"), whole("sessions")).columns


@pytest.mark.parametrize("shape", list(statement.SHAPES.values()))
@pytest.mark.parametrize("x", ["day", "at", "naive", "time", "kind", "n", "flag", "odd [name].x"])
def test_any_column_can_be_drawn_against_a_number(shape: Shape, x: str) -> None:
    rows = pl.DataFrame(
        {
            "day": DAYS,
            "at": [JANUARY + timedelta(hours=at) for at in range(3)],
            "naive": [datetime.fromisoformat("2026-01-01")] * 3,
            "time": [JANUARY.time()] * 3,
            "kind": ["a", None, "b"],
            "n": [1, 2, 3],
            "flag": [True, False, None],
            "odd [name].x": ["x", "y", "z"],
        }
    )
    chart = statement.draw(rows, shape=shape, x=x, y="n", series="kind")
    assert charts.png(chart).startswith(b"\x89PNG")
    # Vega takes a dot or a bracket in a column's name for a path.
    fields = re.findall(r'"field": "([^"]*)"', json.dumps(chart.to_dict()))
    assert fields
    assert all(field.isidentifier() for field in fields)


def test_a_filter_belongs_to_a_question_with_its_group() -> None:
    narrowed = question().where([Filter(field=PATH, operator="is", value=("a",))])
    assert explore.title(narrowed) == "Events by properties.path, each day"
