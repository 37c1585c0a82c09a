"""Bisection: finds the items that an attempt refuses, and gets all the others through.

It knows nothing of databases; an attempt must leave nothing behind when it raises. Where a refusal
tells which item it is about, that one is left out and the rest tried again; where it does not, ever
smaller halves are tried. After a refusal the attempts begin small and grow, so that another refusal
costs little of what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

FIRST_STEP = 512
"""Items beyond those known to be good that are tried after a first refusal; each further one halves it."""


def isolate(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], None],
    refusals: tuple[type[Exception], ...],
    locate: Callable[[Exception], int | None],
) -> list[tuple[Item, Exception]]:
    """Attempt all items together, then without the refused ones, in parts.

    Returns what was refused, with its refusal, in order; everything else has been attempted exactly
    once with success. `locate` tells from a refusal the position of its item among those attempted,
    or None. A refused item costs at most 2 * ceil(log2(len(items))) attempts on top of the first.
    """
    refused: list[tuple[Item, Exception]] = []
    left, done, size, step = list(items), 0, len(items), FIRST_STEP
    # How many of the next items are known to hold a refused one.
    suspects = 0
    while done < len(left):
        part = left[done : done + size]
        try:
            attempt(part)
        except refusals as refusal:
            at = 0 if len(part) == 1 else locate(refusal)
            if at is None:
                suspects = len(part)
                size = suspects // 2
            else:
                refused.append((left.pop(done + at), refusal))
                suspects, size = 0, at + step
                step = max(1, step // 2)
        else:
            done += len(part)
            suspects = max(0, suspects - len(part))
            step = min(2 * step, FIRST_STEP)
            size = max(1, suspects // 2) if suspects else max(step, 2 * len(part))
    return refused
