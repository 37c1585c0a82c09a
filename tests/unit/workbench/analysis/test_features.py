"""The figures of the features page, on activity small enough to count by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from workbench.analysis import features

UNTIL = date(2026, 3, 18)
"""A Wednesday."""
SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "active_on": pl.Date(),
        "event_type": pl.String(),
        "events": pl.Int64(),
        "last_at": pl.Datetime("us", "UTC"),
    }
)


def activity(*rows: tuple[str, str, str, int]) -> pl.LazyFrame:
    """Of user, day, feature and how often."""
    complete = [
        (
            user,
            date.fromisoformat(day),
            feature,
            often,
            datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=9),
        )
        for user, day, feature, often in rows
    ]
    return pl.DataFrame(complete, schema=SCHEMA, orient="row").lazy()


USED = activity(
    ("u1", "2026-02-02", "export", 1),
    ("u1", "2026-03-17", "export", 4),
    ("u1", "2026-03-18", "export", 2),
    ("u2", "2026-02-18", "export", 7),
    ("u2", "2026-03-10", "search", 1),
    ("u3", "2026-01-05", "export", 1),
    ("u4", "2026-02-19", "export", 1),
    ("u5", "2026-03-16", "search", 30),
    ("u6", "2026-03-19", "export", 99),
)


def test_features_are_ranked_by_who_ever_used_them() -> None:
    rows = features.ranking(USED, until=UNTIL, days=28).rows()
    assert rows == [
        ("export", 4, 0.8, 2, 7, 3.5, 3.5, 2, 0.5, date(2026, 3, 18)),
        ("search", 2, 0.4, 2, 31, 15.5, 15.5, 0, 0.0, date(2026, 3, 16)),
    ]


def test_a_feature_that_nobody_uses_any_more_has_no_depth() -> None:
    row = features.of_feature(features.ranking(USED, until=date(2027, 1, 1), days=7), "search")
    assert (row["users"], row["uses"], row["depth"], row["median_depth"], row["stopped"]) == (0, 0, None, None, 2)


def test_a_feature_that_nobody_used_yet_is_one_of_zeros() -> None:
    row = features.of_feature(features.ranking(USED, until=date(2026, 1, 31), days=28), "search")
    assert (row["event_type"], row["adopters"], row["rate"], row["stopped"]) == ("search", 0, None, 0)


def test_adopters_add_up_month_by_month() -> None:
    steps = features.adoption(USED, "export", until=UNTIL, step="month")
    assert steps.rows() == [
        (date(2026, 1, 1), 1, 1, 1, 1, 1.0, False),
        (date(2026, 2, 1), 3, 4, 3, 3, 1.0, False),
        (date(2026, 3, 1), 0, 4, 1, 3, 1 / 3, True),
    ]


def test_weeks_begin_on_monday_and_those_without_anybody_are_there() -> None:
    steps = features.adoption(USED, "search", until=UNTIL, step="week")
    assert steps["starts_on"].to_list() == [date(2026, 3, 9), date(2026, 3, 16)]
    quiet = features.adoption(USED, "export", until=date(2026, 1, 31), step="week")
    assert quiet.select("users", "active", "rate", "adopters").rows()[1:] == [(0, 0, None, 1)] * 3


def test_a_week_is_over_with_its_sunday() -> None:
    ends = {
        day: features.adoption(USED, "search", until=day, step="week") for day in (date(2026, 3, 14), date(2026, 3, 15))
    }
    assert [steps["unfinished"].to_list() for steps in ends.values()] == [[True], [False]]


def test_adoption_of_what_nobody_used_is_no_rows() -> None:
    assert features.adoption(USED, "chat", until=UNTIL, step="month").is_empty()


@pytest.mark.parametrize(
    ("uses", "depth"),
    [(1, "1"), (2, "2–3"), (3, "2–3"), (4, "4–9"), (9, "4–9"), (10, "10–29"), (29, "10–29"), (30, "30 or more")],
)
def test_each_number_of_uses_has_its_depth(uses: int, depth: str) -> None:
    counted = features.depths(activity(("u1", "2026-03-18", "export", uses)), "export", until=UNTIL, days=28)
    assert counted.filter(pl.col("users") > 0).rows() == [(depth, 1, 1.0)]


def test_uses_of_several_days_add_up_within_the_window() -> None:
    counted = features.depths(USED, "export", until=UNTIL, days=28)
    assert counted["users"].to_list() == [1, 0, 1, 0, 0]
    assert counted["share"].to_list() == [0.5, 0.0, 0.5, 0.0, 0.0]


def test_depths_of_nobody_have_no_share() -> None:
    counted = features.depths(USED, "chat", until=UNTIL, days=28)
    assert counted.rows() == [(depth, 0, None) for depth in features.DEPTHS]


def test_who_stopped_used_it_before_the_window_and_not_in_it() -> None:
    """u2's last use is 28 days ago, u4's 27."""
    gone = features.stopped(USED, "export", until=UNTIL, days=28)
    assert gone.rows() == [
        ("u2", date(2026, 2, 18), date(2026, 2, 18), 28, 7, 1, date(2026, 3, 10), True),
        ("u3", date(2026, 1, 5), date(2026, 1, 5), 72, 1, 1, date(2026, 1, 5), False),
    ]


def test_the_ranking_counts_those_who_stopped() -> None:
    for days in (7, 28, 90):
        ranked = features.ranking(USED, until=UNTIL, days=days)
        for feature, count in ranked.select("event_type", "stopped").iter_rows():
            assert features.stopped(USED, feature, until=UNTIL, days=days).height == count


def test_what_came_later_is_left_out() -> None:
    assert "u6" not in features.stopped(USED, "export", until=UNTIL, days=1)["user_id"].to_list()
    assert features.of_feature(features.ranking(USED, until=UNTIL, days=28), "export")["uses"] == 7


def test_the_span_names_the_most_used_feature_first() -> None:
    span = features.span(USED)
    assert span is not None
    assert (span.first_on, span.last_at.date()) == (date(2026, 1, 5), date(2026, 3, 19))
    assert span.event_types == ["export", "search"]
    assert features.span(activity()) is None
