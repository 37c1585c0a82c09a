"""The steps of a promotion as they pass: told in plain words, and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.core import tracing

Tell = Callable[[str], None]


class Steps:
    """Tells each step as it begins, and remembers how long each took and which one is under way."""

    def __init__(self, tell: Tell, reached: Tell = lambda _: None) -> None:
        """`reached` hears of every point at which a process may die: between steps, and inside publishing."""
        self._tell = tell
        self.reached = reached
        self.current = "starting"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, words: str) -> Iterator[None]:
        """One step; `name` is the key in `seconds`, `words` is what people read."""
        self._tell(words)
        self.current = name
        began = time.perf_counter()
        try:
            with tracing.span(name):
                yield
        finally:
            self.seconds[name] = round(time.perf_counter() - began, 4)
        self.reached(name)
