"""Funnels and lengths of time, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from workbench.analysis.funnels import Counted, Funnel, conversion
from workbench.analysis.funnels_steps import Step
from workbench.charts import funnels as pictures
from workbench.charts.durations import duration

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FUNNEL = Funnel(steps=(Step("visit"), Step("<b>buy</b>")), window=timedelta(days=1))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (0.0, "at once"),
        (1.0, "1 s"),
        (59.4, "59 s"),
        (90.0, "1.5 min"),
        (720.0, "12 min"),
        (7_200.0, "2 h"),
        (86_400.0, "1 day"),
        (216_000.0, "2.5 days"),
        (86_400.0 * 1_234, "1,234 days"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def counted() -> Counted:
    rows = [("visit", "ann", 0), ("<b>buy</b>", "ann", 2), ("visit", "bob", 0)]
    frame = pl.LazyFrame(
        {
            "event_type": [row[0] for row in rows],
            "user_id": [row[1] for row in rows],
            "occurred_at": [NOON + timedelta(hours=row[2]) for row in rows],
        },
        schema_overrides={"occurred_at": pl.Datetime("us", "UTC")},
    )
    return Counted(frame, FUNNEL, NOON + timedelta(hours=4))


def test_the_headline_tells_conversion_time_and_who_is_still_in_time() -> None:
    found = counted()
    html = pictures.headline(conversion(found.journeys, FUNNEL), found.journeys, FUNNEL)
    for text in ("50.0%", "2 h", "Still in time: 1", "From step 1 to step 2"):
        assert text in html


def test_names_of_events_are_no_markup() -> None:
    html = pictures.steps_table(conversion(counted().journeys, FUNNEL), FUNNEL)
    assert "<b>buy" not in html
    assert "&lt;b&gt;buy" in html


def test_the_lost_are_told_for_people() -> None:
    journeys = pl.DataFrame({"actor": ["bob"], "reached_at": [NOON], "open": [True]})
    assert pictures.lost(journeys, FUNNEL).row(0) == ("bob", "2 Mar 2026, 12:00", "yes")
    assert pictures.listed(1, 1) == "All of them, the latest first."
    assert pictures.listed(500, 1_052) == "The latest 500 of 1,052."
