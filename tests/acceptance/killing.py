"""kill -9 of a stack's own processes, found through its files and its children, at chosen moments."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from random import Random
from threading import Event as Signal
from typing import TypeVar

import psutil
import psycopg

from pipeline.core.database import ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from tests.acceptance.stack import UserStack
from tests.integration.cli.stack_process import have_ended

T = TypeVar("T")

PATIENCE_SECONDS = 150
SECONDS_BETWEEN_LOOKS = 0.005
NEWEST_STATE = "select state from control.promotions order by promotion_id desc limit 1"
UNFINISHED = ("planned", "built", "judged")


class Target(StrEnum):
    """A process to kill."""

    API = "api"
    DATABASE = "database"
    PROMOTION = "promotion"
    SUPERVISOR = "supervisor"


class Moment(StrEnum):
    """When to kill it; always a random while after this was seen."""

    ANY = "any"
    """As soon as it runs, perhaps while everything else still recovers."""
    LANDING = "landing"
    """Events are being acknowledged."""
    PROMOTING = "promoting"
    PUBLISHING = "publishing"


MOMENTS = {
    Target.API: (Moment.LANDING, Moment.LANDING, Moment.ANY),
    Target.DATABASE: (Moment.LANDING, Moment.PUBLISHING, Moment.ANY),
    Target.PROMOTION: (Moment.PROMOTING, Moment.PUBLISHING),
    Target.SUPERVISOR: (Moment.LANDING, Moment.PROMOTING),
}
# A promotion takes some seconds, its publishing about a tenth of one.
LONGEST_DELAY_SECONDS = {Moment.ANY: 1.0, Moment.LANDING: 0.5, Moment.PROMOTING: 4.0, Moment.PUBLISHING: 0.15}
ROUND = (*[Target.API] * 3, *[Target.DATABASE] * 3, *[Target.PROMOTION] * 2)


def plan(kills: int, random: Random) -> list[Target]:
    """Rounds in which each target has its share; a killed supervisor, with all that it takes along, parts them."""
    targets: list[Target] = []
    while len(targets) < kills:
        targets += [Target.SUPERVISOR] * bool(targets) + random.sample(ROUND, len(ROUND))
    return targets[:kills]


class Killer:
    """Kills, and counts what it killed, and how far the newest promotion was by then."""

    def __init__(
        self, stack: UserStack, random: Random, *, acknowledged: Callable[[], int], check: Callable[[], object]
    ) -> None:
        """`acknowledged` counts events; `check` is asked again and again, and raises where something is wrong."""
        self.killed: Counter[tuple[Target, str]] = Counter()
        self._stack = stack
        self._random = random
        self._acknowledged = acknowledged
        self._check = check
        self._ledger: psycopg.Connection | None = None

    def kill(self, target: Target) -> None:
        """Kill the target at a moment of its kind, and see it end."""
        moment = self._random.choice(MOMENTS[target])
        delay = self._random.uniform(0, LONGEST_DELAY_SECONDS[moment])
        before = self._acknowledged()
        self._wait_for(lambda: self._find(target) and self._has_come(moment, before), f"the {target}, {moment}")
        Signal().wait(delay)
        process = self._wait_for(lambda: self._find(target), f"the {target}")
        state = self._state() or "not to be asked"
        if target is Target.SUPERVISOR:
            self._stack.kill()
        else:
            process.kill()
        self.killed[target, state] += 1
        self._wait_for(lambda: have_ended([process]), f"the end of the {target}")
        self._stack.ensure_started()

    def _wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        def checked() -> T | None:
            self._check()
            return condition()

        return wait_for(checked, what)

    def _find(self, target: Target) -> psutil.Process | None:
        """The process that is the target now, if one runs."""
        if target is Target.DATABASE:
            return self._stack.postmaster()
        if target is Target.SUPERVISOR:
            return psutil.Process(self._stack.pid)
        pid = self._stack.child("serve" if target is Target.API else "schedule")
        return None if pid is None else psutil.Process(pid)

    def _has_come(self, moment: Moment, before: int) -> bool:
        match moment:
            case Moment.ANY:
                return True
            case Moment.LANDING:
                return self._acknowledged() > before
            case Moment.PROMOTING:
                return self._state() in UNFINISHED
            case Moment.PUBLISHING:
                return self._state() == "judged"

    def _state(self) -> str | None:
        """How far the newest promotion is; None where the database cannot tell."""
        try:
            if self._ledger is None:
                self._ledger = self._stack.server.connect(ServiceRole.STEWARD, autocommit=True)
            row = self._ledger.execute(NEWEST_STATE).fetchone()
        except (DatabaseUnavailable, psycopg.OperationalError):
            self._ledger = None
            return None
        return None if row is None else str(row[0])


def wait_for(condition: Callable[[], T | None], what: str, *, look_every_seconds: float = SECONDS_BETWEEN_LOOKS) -> T:
    """What the condition answers once it is true; fails naming what was waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(look_every_seconds)
    return answer
