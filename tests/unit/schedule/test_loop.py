"""The promotion loop: on the hour, once per slot, and through whatever passes by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.core.errors import DatabaseUnavailable, FingerprintMismatch, PromotionRunning, WorkbenchError
from pipeline.schedule.loop import LONGEST_RETRY_SECONDS, next_slot, run_loop

START = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Hours:
    """A clock that jumps ahead by what is waited for, and a stop at its end."""

    def __init__(self, hours: float) -> None:
        self.now = START
        self._end = START + timedelta(hours=hours)

    def clock(self) -> datetime:
        return self.now

    def is_set(self) -> bool:
        return self.now >= self._end

    def wait(self, timeout: float) -> bool:
        assert timeout > 0, "a wait that does not wait burns the processor"
        self.now += timedelta(seconds=timeout)
        return self.is_set()


def promotions(
    hours: float,
    *,
    pending: bool = False,
    failing: Callable[[Hours], WorkbenchError | None] | None = None,
    takes: timedelta = timedelta(0),
) -> list[str]:
    """The times at which the loop promotes with success within so many hours."""
    time, done = Hours(hours), []

    def promote() -> None:
        if failing is not None and (error := failing(time)) is not None:
            raise error
        done.append(f"{time.now:%H:%M}")
        time.now += takes

    run_loop(promote, pending=lambda: pending, every=HOUR, clock=time.clock, stop=time)
    return done


def test_it_promotes_on_each_clock_hour_whenever_it_was_started() -> None:
    assert promotions(3) == ["11:00", "12:00", "13:00"]


def test_it_promotes_at_once_what_was_left_pending() -> None:
    assert promotions(1, pending=True) == ["10:30", "11:00"]


def test_a_slot_that_passes_during_a_promotion_is_not_made_up_for() -> None:
    assert promotions(4, takes=timedelta(minutes=90)) == ["11:00", "13:00"]


@pytest.mark.parametrize("error", [DatabaseUnavailable(), PromotionRunning()])
def test_what_passes_is_tried_again_until_it_has(error: WorkbenchError) -> None:
    back = datetime(2026, 3, 2, 11, 20, tzinfo=UTC)
    [first, second] = promotions(2, failing=lambda time: error if time.now < back else None)
    assert first.startswith("11:2"), f"within {LONGEST_RETRY_SECONDS:g} seconds"
    assert second == "12:00"


def test_what_does_not_pass_waits_for_the_next_slot() -> None:
    tries = []

    def failing(time: Hours) -> WorkbenchError | None:
        tries.append(time.now)
        return FingerprintMismatch() if len(tries) == 1 else None

    assert promotions(2, failing=failing) == ["12:00"]


def test_a_stop_ends_the_retries_too() -> None:
    assert promotions(1, pending=True, failing=lambda _: DatabaseUnavailable()) == []


def test_a_defect_ends_the_loop() -> None:
    def promote() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_loop(promote, pending=lambda: True, every=HOUR, clock=lambda: START, stop=Hours(1))


@pytest.mark.parametrize(
    ("minutes", "slot"), [(60, "11:00:00"), (15, "10:45:00"), (1, "10:31:00"), (24 * 60, "00:00:00")]
)
def test_slots_are_multiples_of_the_interval(minutes: int, slot: str) -> None:
    assert f"{next_slot(START, timedelta(minutes=minutes)):%H:%M:%S}" == slot
