"""kill -9 of a stack's own processes, found through its files and its children, at chosen moments."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
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
LEDGER = """
select
    (select state from control.promotions order by promotion_id desc limit 1),
    (select count(*) from control.promotions where state = 'published')
"""
UNFINISHED = ("planned", "built", "judged")
UNKNOWN = "not to be asked"


class Target(StrEnum):
    """A process to kill."""

    API = "api"
    DATABASE = "database"
    PROMOTION = "promotion"
    SUPERVISOR = "supervisor"


class Moment(StrEnum):
    """What is to be seen before it is killed, a random while later."""

    ANY = "any"
    """As soon as it runs, perhaps while everything else still recovers."""
    LANDING = "landing"
    """Events are being acknowledged."""
    PROMOTING = "promoting"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    """A promotion has gone through, whatever was killed meanwhile, and the next is about to begin."""


# A promotion takes some seconds, its publishing about a tenth of one.
LONGEST_DELAY_SECONDS = {
    Moment.ANY: 1.0,
    Moment.LANDING: 0.5,
    Moment.PROMOTING: 4.0,
    Moment.PUBLISHING: 0.15,
    Moment.PUBLISHED: 5.0,
}
ROUND = (
    (Target.API, Moment.LANDING),
    (Target.API, Moment.LANDING),
    (Target.API, Moment.ANY),
    (Target.DATABASE, Moment.LANDING),
    (Target.DATABASE, Moment.PUBLISHING),
    (Target.DATABASE, Moment.ANY),
    (Target.PROMOTION, Moment.PUBLISHING),
)
# A killed promotion takes its process along, which takes seconds to start. So does everything when the
# supervisor is killed; the next one starts what ends without delay again.
BETWEEN_ROUNDS = ((Target.PROMOTION, Moment.PROMOTING), (Target.SUPERVISOR, Moment.PUBLISHED))


def plan(kills: int, random: Random) -> list[tuple[Target, Moment]]:
    """Rounds, each in an order of its own."""
    planned = random.sample(ROUND, len(ROUND))
    while len(planned) < kills:
        planned += [*BETWEEN_ROUNDS, *random.sample(ROUND, len(ROUND))]
    return planned[:kills]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far everything is."""

    acknowledged: int = 0
    """Events."""
    published: int = 0
    """Promotions."""
    promotion: str = UNKNOWN
    """The state of the newest."""


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
        self._last = Progress()

    def kill(self, target: Target, moment: Moment) -> None:
        """Kill the target a random while after the moment, and see it end."""
        delay = self._random.uniform(0, LONGEST_DELAY_SECONDS[moment])
        before = self._progress()
        self._wait_for(lambda: self._find(target) and self._has_come(moment, before), f"the {target}, {moment}")
        Signal().wait(delay)
        process = self._wait_for(lambda: self._find(target), f"the {target}")
        state = self._progress().promotion
        if target is Target.SUPERVISOR:
            self._stack.kill()
        else:
            process.kill()
        self.killed[target, state] += 1
        self._wait_for(lambda: have_ended([process]), f"the end of the {target}")
        self._stack.ensure_started()

    def see_recovery(self) -> None:
        """Wait until a promotion has gone through, with nobody's help, after the last kill."""
        before = self._progress()
        self._wait_for(lambda: self._has_come(Moment.PUBLISHED, before), "a promotion after the last kill")

    def _wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        def checked() -> T | None:
            self._check()
            return condition()

        return wait_for(checked, what, told=self._stack.last_lines)

    def _find(self, target: Target) -> psutil.Process | None:
        """The process that is the target now, if one runs."""
        if target is Target.DATABASE:
            return self._stack.postmaster()
        if target is Target.SUPERVISOR:
            return psutil.Process(self._stack.pid)
        pid = self._stack.child("serve" if target is Target.API else "schedule")
        return None if pid is None else psutil.Process(pid)

    def _has_come(self, moment: Moment, before: Progress) -> bool:
        now = self._progress()
        match moment:
            case Moment.ANY:
                return True
            case Moment.LANDING:
                return now.acknowledged > before.acknowledged
            case Moment.PROMOTING:
                return now.promotion in UNFINISHED
            case Moment.PUBLISHING:
                return now.promotion == "judged"
            case Moment.PUBLISHED:
                return now.published > before.published

    def _progress(self) -> Progress:
        """How far everything is; of the promotions what was last known, where the database cannot tell."""
        self._last = replace(self._last, acknowledged=self._acknowledged(), promotion=UNKNOWN)
        for _ in range(2):  # A connection is found to be broken by using it.
            try:
                if self._ledger is None:
                    self._ledger = self._stack.server.connect(ServiceRole.STEWARD, autocommit=True)
                [(state, published)] = self._ledger.execute(LEDGER).fetchall()
            except (DatabaseUnavailable, psycopg.OperationalError):
                self._ledger = None
            else:
                self._last = replace(self._last, promotion=state or "none", published=published)
                break
        return self._last


def wait_for(
    condition: Callable[[], T | None],
    what: str,
    *,
    look_every_seconds: float = SECONDS_BETWEEN_LOOKS,
    told: Callable[[], str] = str,
) -> T:
    """What the condition answers once it is true; fails naming what was waited for, and what is told of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}\n{told()}"
        time.sleep(look_every_seconds)
    return answer
