"""Decisions that happen once, however often they are asked for: by a double click, a re-run cell, a second tab.

A decision runs in a thread of the process, not of the notebook session that asked: who closes the page does not
break it off half-way.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from workbench.stewards.decision import Outcome, Request
from workbench.stewards.errors import DecisionError

REMEMBERED = 1_000
"""Tokens of decisions that ended; a page that is older asks again in vain, since its hold is not the same any more."""

Tell = Callable[[str], object]
CarryOut = Callable[[Request, str, Tell], Outcome]
"""Carries a request out in the name of a person, telling each step."""


class Running:
    """A decision under way, or ended."""

    def __init__(self, request: Request, actor: str) -> None:
        self.request = request
        self.actor = actor
        self.ended: Future[Outcome] = Future()
        self._steps: list[str] = []
        self._changed = threading.Condition()

    def run(self, carry_out: CarryOut) -> None:
        """Carry it out, in the calling thread; what it raises, its followers raise."""
        try:
            self.ended.set_result(carry_out(self.request, self.actor, self._note))
        except BaseException as error:  # noqa: BLE001 - handed to all who wait for it
            self.ended.set_exception(error)
        finally:
            with self._changed:
                self._changed.notify_all()

    def follow(self, tell: Tell) -> Outcome:
        """Tell each step from the first, until it has ended."""
        seen = 0
        while new := self._after(seen):
            for step in new:
                tell(step)
            seen += len(new)
        return self.ended.result()

    def _after(self, seen: int) -> list[str]:
        """The steps that follow those seen, as soon as there are any; none once it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._steps) > seen or self.ended.done())
            return self._steps[seen:]

    def _note(self, step: str) -> None:
        with self._changed:
            self._steps.append(step)
            self._changed.notify_all()


class Decisions:
    """The decisions of a process, by their tokens."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry_out = carry_out
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Running] = OrderedDict()

    def decide(self, request: Request, *, actor: str, tell: Tell = lambda _: None) -> Outcome:
        """Carry it out, or follow it if it is under way, or answer how it ended.

        Raises DecisionError if the token stood for another decision, or another person's.
        """
        with self._lock:
            running = self._known.get(request.token)
            is_new = running is None
            if running is None:
                running = self._known[request.token] = Running(request, actor)
                self._forget()
        if (running.request, running.actor) != (request, actor):
            raise DecisionError(
                "This form was used for another decision already.", remedy="Look again, and fill in a new one."
            )
        if is_new:
            # Not a daemon: a server that ends waits for it.
            threading.Thread(target=running.run, args=(self._carry_out,), name="decision").start()
        return running.follow(tell)

    def _forget(self) -> None:
        ended = [token for token, each in self._known.items() if each.ended.done()]
        for token in ended[: max(0, len(self._known) - REMEMBERED)]:
            del self._known[token]
