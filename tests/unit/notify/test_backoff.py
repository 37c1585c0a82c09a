"""Waits grow, differ, and end within three days."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.notify.backoff import DELAYS, MOST_ATTEMPTS, SPREAD, delay
from pipeline.notify.outbox import WORTH_TELLING

CHANCES = st.floats(min_value=0, max_value=1)
ATTEMPTS = st.integers(min_value=1, max_value=MOST_ATTEMPTS - 1)


@given(attempts=ATTEMPTS, chance=CHANCES)
def test_chance_shortens_a_wait_by_a_fifth_at_the_most(attempts: int, chance: float) -> None:
    wait = delay(attempts, chance)
    assert wait is not None
    assert DELAYS[attempts - 1] * (1 - SPREAD) <= wait <= DELAYS[attempts - 1]


@given(attempts=ATTEMPTS, chances=st.tuples(CHANCES, CHANCES))
def test_whatever_chance_does_a_wait_is_longer_than_the_one_before_until_half_a_day(
    attempts: int, chances: tuple[float, float]
) -> None:
    wait, following = delay(attempts, chances[0]), delay(attempts + 1, chances[1])
    if following is not None and wait is not None and DELAYS[attempts] > DELAYS[attempts - 1]:
        assert wait < following


def test_the_last_attempt_is_made_within_the_time_in_which_it_is_worth_telling() -> None:
    waits = [delay(attempts, 0) for attempts in range(1, MOST_ATTEMPTS)]
    assert timedelta(days=2.5) < sum((wait for wait in waits if wait), timedelta()) < WORTH_TELLING
    assert delay(MOST_ATTEMPTS, 0) is None
    assert delay(MOST_ATTEMPTS + 5, 0.5) is None
