"""Bisection: finds the items that an attempt refuses, and gets all the others through.

It knows nothing of databases; an attempt must leave nothing behind when it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def isolate(
    items: Sequence[Item], attempt: Callable[[Sequence[Item]], None], refusals: tuple[type[Exception], ...]
) -> list[tuple[Item, Exception]]:
    """Attempt all items together, then ever smaller halves of what was refused.

    Returns what was refused alone, with its refusal, in order; everything else has been attempted
    exactly once with success. A refused item costs at most 2 * ceil(log2(len(items))) attempts on
    top of the first.
    """
    try:
        attempt(items)
    except refusals as refusal:
        if len(items) == 1:
            return [(items[0], refusal)]
        middle = len(items) // 2
        return [*isolate(items[:middle], attempt, refusals), *isolate(items[middle:], attempt, refusals)]
    return []
