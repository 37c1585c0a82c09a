"""How much of request bodies the process holds at once, whatever the number of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api.refusals import Refusal

Take = Callable[[int], None]


class MemoryBudget:
    """Bytes of bodies that may be held over all requests that are not answered yet."""

    def __init__(self, total: int) -> None:
        self._left = total

    @contextmanager
    def share(self) -> Iterator[Take]:
        """A request's part: what is taken within the block is given back at its end.

        Taking raises Refusal with 503 where the budget is spent.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._left:
                raise Refusal(503, "overloaded", "Too many requests are being read. Nothing of this one was stored.")
            self._left -= count
            taken += count

        try:
            yield take
        finally:
            self._left += taken
