"""Bisection gets everything through that nothing is wrong with, at a bounded price."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.land.bisection import isolate


class RefusedError(Exception):
    """An attempt held a poisoned item."""


class Attempts:
    """Takes items unless a poisoned one is among them, as a transaction would."""

    def __init__(self, poisoned: set[int]) -> None:
        self._poisoned = poisoned
        self.number = 0
        self.taken: list[int] = []

    def __call__(self, items: Sequence[int]) -> None:
        self.number += 1
        if self._poisoned.intersection(items):
            raise RefusedError(min(self._poisoned.intersection(items)), items)
        self.taken.extend(items)


def told(refusal: Exception) -> int:
    """The poisoned item that an attempt met first."""
    return int(refusal.args[0])


def place(refusal: Exception) -> int:
    """Where it was among those attempted."""
    item, items = refusal.args
    return list(items).index(item)


@given(size=st.integers(1, 2_000), data=st.data(), locate=st.sampled_from([place, lambda _: None]))
def test_the_poisoned_are_told_and_the_others_taken_once_within_the_bound(
    size: int, data: st.DataObject, locate: Callable[[Exception], int | None]
) -> None:
    poisoned = data.draw(st.sets(st.integers(0, size - 1), max_size=8))
    attempts = Attempts(poisoned)
    refused = isolate(range(size), attempts, (RefusedError,), locate)
    assert [(item, told(refusal)) for item, refusal in refused] == [(item, item) for item in sorted(poisoned)]
    assert attempts.taken == [item for item in range(size) if item not in poisoned]
    assert attempts.number <= 1 + len(poisoned) * 2 * ceil(log2(size))


def test_any_other_failure_is_not_searched_for() -> None:
    def attempt(_: Sequence[int]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        isolate(range(4), attempt, (RefusedError,), place)
