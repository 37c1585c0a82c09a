"""The figures of one consumer process, for people: totals, rate, delay, and what it is doing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from pipeline.stream.consumption import Landed
from pipeline.stream.delivery import Settled
from workbench.consuming.delays import Delays, Sample

RATE_SECONDS = 10.0
BUSY_SECONDS = 5.0


class Figures:
    """Counts what was landed since the process began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, int]] = deque()
        self._landed_at = float("-inf")
        self._lag: Mapping[int, int] = {}
        self.delays = Delays(clock)
        self.records = 0
        self.settled = Settled()

    def observe(self, landed: Landed, samples: Sequence[Sample]) -> None:
        """Take a delivery that is durable."""
        now = self._clock()
        self.delays.add(samples)
        self.records += landed.delivery.records
        self.settled = Settled(
            stored=self.settled.stored + landed.settled.stored,
            duplicate=self.settled.duplicate + landed.settled.duplicate,
            dead_lettered=self.settled.dead_lettered + landed.settled.dead_lettered,
        )
        self._recent.append((now, landed.delivery.records))
        self._forget(now)
        self._landed_at = now
        self._lag = landed.lag

    @property
    def rate(self) -> float:
        """Records a second, over the last ten."""
        self._forget(self._clock())
        return sum(records for _, records in self._recent) / RATE_SECONDS

    @property
    def busy(self) -> bool:
        """Whether something landed in the last seconds."""
        return self._clock() - self._landed_at < BUSY_SECONDS

    def lag(self, everywhere: Mapping[int, int] | None) -> dict[int, int]:
        """Records behind by partition: `everywhere` as it was looked up, and newer knowledge of this process."""
        newer = self._lag if self.busy else {p: lag for p, lag in self._lag.items() if everywhere is None}
        return dict(sorted({**(everywhere or {}), **newer}.items()))

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0][0] > RATE_SECONDS:
            self._recent.popleft()
