"""What the notebook Funnels begins with, and what its inputs mean."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest

from workbench.analysis import funnels_choices as choices
from workbench.analysis.fields import Field
from workbench.analysis.funnels_steps import COMPARISONS, Comparison, Filter, Step

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FILES = Field("files")


def events(*rows: tuple[str, str | None, str | None]) -> pl.LazyFrame:
    """Events of a type, user and session, an hour apart."""
    columns = {"event_type": pl.String, "user_id": pl.String, "session_id": pl.String}
    at = pl.Series("occurred_at", [NOON.replace(hour=hour) for hour in range(len(rows))], pl.Datetime("us", "UTC"))
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(at).lazy()


def told(*properties: object) -> pl.LazyFrame:
    """Commits with these properties."""
    texts = [json.dumps(each) for each in properties]
    return pl.LazyFrame({"event_type": ["commit"] * len(texts), "properties": texts})


def test_only_what_events_name_can_be_counted() -> None:
    assert choices.countable(events(("visit", "ann", "s"))) == {"Users": "users", "Sessions": "sessions"}
    assert choices.countable(events(("visit", None, "s"))) == {"Sessions": "sessions"}
    assert choices.countable(events(("visit", None, None))) == {}


def test_event_types_come_in_the_order_of_who_has_them_then_of_events_then_of_time() -> None:
    found = events(
        ("zap", "ann", None),
        ("rare", "ann", None),
        ("often", "ann", None),
        ("often", "ann", None),
        ("all", "ann", None),
        ("all", "bob", None),
    )
    assert choices.event_types(found, "users") == ["all", "often", "zap", "rare"]


def test_a_tenant_with_one_event_type_begins_with_that_type_again() -> None:
    assert choices.usual_types(["visit"]) == ["visit"] * 6
    assert choices.usual_types(["a", "b"])[:3] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("is", "3", [True, False, False, False, False]),
        ("is not", "3", [False, True, True, True, True]),
        ("contains", "MANY", [False, False, True, False, False]),
        ("at least", "10", [False, True, False, False, False]),
        ("at most", "3.5", [True, False, False, False, False]),
        ("at least", "no number", [False] * 5),
        ("is known", "", [True, True, True, False, False]),
    ],
)
def test_an_event_without_the_property_meets_only_is_not(
    comparison: Comparison, value: str, expected: list[bool]
) -> None:
    frame = told({"files": 3}, {"files": 10}, {"files": "many"}, {"files": None}, {})
    found = frame.select(Step("commit", Filter(FILES, comparison, value)).matches()).collect().to_series()
    assert found.to_list() == expected


def test_a_step_without_a_value_to_compare_with_takes_all_events() -> None:
    assert choices.step_of("commit", None, "is", "3") == Step("commit")
    assert choices.step_of("commit", FILES, "is", None) == Step("commit")
    assert choices.step_of("commit", FILES, "is known", None) == Step("commit", Filter(FILES, "is known"))
    assert choices.step_of("commit", FILES, "at least", 3) == Step("commit", Filter(FILES, "at least", "3"))


def test_every_comparison_can_be_chosen() -> None:
    assert list(choices.WORDS.values()) == list(COMPARISONS)


def test_values_are_those_of_the_type_most_frequent_first() -> None:
    assert choices.values(told({"files": 2}, {"files": 1}, {"files": 2}, {}), "commit", FILES) == ["2", "1"]
    assert choices.values(told({"files": 2}), "merge", FILES) == []


def test_the_last_day_is_the_one_before_midnight() -> None:
    assert choices.last_day(datetime(2026, 3, 1, tzinfo=UTC)) == date(2026, 2, 28)
