"""From acceptance to storage: how long events took, sampled, over the last minute.

Kept are counts by second and by size of the delay, so that memory is bounded whatever the rate, and
a quantile is right to within a twentieth.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime

from pipeline.stream.delivery import Delivery

SAMPLES = 100
"""Events of one delivery that are looked at."""
WINDOW_SECONDS = 60
STEP = math.log(1.05)
SHORTEST_SECONDS = 0.001

Sample = tuple[float, int]
"""A delay in seconds, and how many events it stands for."""


def sample_delays(delivery: Delivery, now: datetime) -> list[Sample]:
    """The delays of at most so many events, evenly chosen; a clock that is behind gives 0."""
    stride = math.ceil(len(delivery.events) / SAMPLES) or 1
    chosen = delivery.events[stride // 2 :: stride]
    return [(max(0.0, (now - event.received_at).total_seconds()), stride) for event in chosen]


class Delays:
    """Quantiles of the delays seen in the last minute; it may be read by another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[tuple[int, Counter[int]]] = deque(maxlen=WINDOW_SECONDS)

    def add(self, samples: Sequence[Sample]) -> None:
        """Take the delays of a delivery."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
        counted = self._seconds[-1][1]
        for delay, events in samples:
            counted[_bucket(delay)] += events

    def quantiles(self, wanted: Sequence[float]) -> list[float] | None:
        """The delays below which these shares of the events lie, or None where there were none."""
        oldest = self._clock() - WINDOW_SECONDS
        counted: Counter[int] = Counter()
        for second, delays in list(self._seconds):
            if second >= oldest:
                counted.update(delays.copy())
        buckets = sorted(counted)
        if not buckets:
            return None
        return [_quantile(buckets, counted, share * counted.total()) for share in wanted]


def _quantile(buckets: Sequence[int], counted: Counter[int], rank: float) -> float:
    below = 0
    for bucket in buckets:
        below += counted[bucket]
        if below >= rank:
            return SHORTEST_SECONDS * math.exp(bucket * STEP)
    return SHORTEST_SECONDS * math.exp(buckets[-1] * STEP)


def _bucket(delay: float) -> int:
    return max(0, round(math.log(max(delay, SHORTEST_SECONDS) / SHORTEST_SECONDS) / STEP))
