"""Moments as the pages say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from workbench.serving.shown import ago, moment

NOW = datetime(2026, 3, 5, 14, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (datetime(2026, 3, 5, 14, 0, tzinfo=UTC), "14:00 UTC"),
        (datetime(2026, 3, 5, 14, 0, tzinfo=timezone(timedelta(hours=2))), "12:00 UTC"),
        (datetime(2026, 3, 4, 23, 59, tzinfo=UTC), "4 Mar, 23:59 UTC"),
        (datetime(2025, 12, 31, 8, 5, tzinfo=UTC), "31 Dec 2025, 08:05 UTC"),
    ],
)
def test_a_moment_is_said_in_utc_and_as_short_as_it_is_clear(at: datetime, said: str) -> None:
    assert moment(at, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (20 * 60, "20 minutes ago"),
        (3_600, "1 hour ago"),
        (47 * 3_600, "1 day ago"),
        (48 * 3_600, "2 days ago"),
        (-30, "just now"),
    ],
)
def test_how_long_ago_is_said_in_one_unit(seconds: int, said: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == said
