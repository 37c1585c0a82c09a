"""Faults: what is done to the system, for how long, and how it is undone."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from threading import Event as Signal

import psutil

from tests.acceptance.chaos.processes import Service
from tests.acceptance.chaos.system import SESSION_SECONDS, System
from tests.acceptance.chaos.traffic import Traffic


class Fault(StrEnum):
    """What happens."""

    API_KILLED = "API killed"
    DRAINING_KILLED = "every API killed while it drained its spool"
    CONSUMER_KILLED = "consumer killed"
    BROKER_KILLED = "broker killed"
    DATABASE_KILLED = "database killed"
    CONSUMER_PAUSED = "consumer paused"
    CONSUMER_GIVEN_UP = "consumer paused for longer than its session"
    BROKER_PAUSED = "broker paused"
    DATABASE_PAUSED = "database paused"
    MEMBER_CAME_AND_WENT = "third consumer came and went"
    BROKER_CUT = "connections to the broker cut"
    BROKER_STALLED = "connections to the broker stalled"
    BROKER_SLOW = "connections to the broker slow"
    DATABASE_CUT = "connections to the database cut"
    DATABASE_STALLED = "connections to the database stalled"
    DATABASE_SLOW = "connections to the database slow"


SHORT_ROUND = (
    Fault.DRAINING_KILLED,
    Fault.CONSUMER_KILLED,
    Fault.BROKER_KILLED,
    Fault.DATABASE_KILLED,
    Fault.CONSUMER_GIVEN_UP,
    Fault.BROKER_CUT,
)
"""What a short run has at least of everything: each victim, a zombie, and the network."""

SECONDS = {
    Fault.CONSUMER_PAUSED: (0.5, SESSION_SECONDS / 2),
    Fault.CONSUMER_GIVEN_UP: (SESSION_SECONDS + 1, SESSION_SECONDS + 5),
    Fault.MEMBER_CAME_AND_WENT: (3.0, 6.0),
}
DEFAULT_SECONDS = (0.2, 5.0)
"""How long it lasts, from and to."""
SLOW_BYTES_PER_SECOND = 60_000
DRAINING_BYTES_PER_SECOND = 500_000
"""Fast enough for a stretch of the spool to be acknowledged in time, and slow enough to be seen on its way."""
DRAINING_SECONDS = 15
SECONDS_BETWEEN_LOOKS = 0.01
SECONDS_BETWEEN = (0.5, 4.0)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A fault, with all that is left to chance."""

    fault: Fault
    number: int
    """Which of several processes, and the name of one that comes and goes."""
    seconds: float
    pause_seconds: float
    """Between its beginning and that of the next one, which may come before its end."""


def plan(count: int, random: Random) -> list[Planned]:
    """Rounds of all faults, each in an order of its own; fewer than a round begin with the short one."""
    every = list(Fault)
    faults = [fault for _ in range(count // len(every)) for fault in random.sample(every, len(every))]
    rest = random.sample(SHORT_ROUND, min(count - len(faults), len(SHORT_ROUND)))
    others = [fault for fault in every if fault not in SHORT_ROUND]
    faults += rest + random.sample(others, count - len(faults) - len(rest))
    return [
        Planned(
            fault=fault,
            number=number,
            seconds=random.uniform(*SECONDS.get(fault, DEFAULT_SECONDS)),
            pause_seconds=random.uniform(*SECONDS_BETWEEN),
        )
        for number, fault in enumerate(faults)
    ]


class Faults:
    """Lets faults happen, several at a time, but one per victim; counts them."""

    def __init__(self, system: System) -> None:
        self.happened: Counter[Fault] = Counter()
        self._system = system
        self._locks = {name: threading.Lock() for name in ("api", "consumer", "broker", "database", "member")}

    def run(self, planned: list[Planned], traffic: Traffic) -> None:
        """Begin one after the other, always under traffic; return when all are undone."""
        with ThreadPoolExecutor(2) as pool:
            running: list[Future[None]] = []
            for each in planned:
                traffic.wait_for(1)
                running.append(pool.submit(self._happen, each))
                Signal().wait(each.pause_seconds)
                for future in running:
                    if future.done():
                        future.result()
            for future in running:
                future.result()

    def told(self) -> dict[str, int]:
        """How often each happened, in plain words."""
        return {str(fault): count for fault, count in sorted(self.happened.items())}

    def _happen(self, planned: Planned) -> None:
        action, victim = self._action(planned)
        with self._locks[victim]:
            action(planned.seconds)
        self.happened[planned.fault] += 1

    def _action(self, planned: Planned) -> tuple[Callable[[float], None], str]:
        """What is done for how many seconds, and to whom."""
        system = self._system
        api = system.apis[planned.number % len(system.apis)]
        consumer = system.consumers[planned.number % len(system.consumers)]
        actions: dict[Fault, tuple[Callable[[float], None], str]] = {
            Fault.API_KILLED: (_both(api.kill, api.start), "api"),
            Fault.DRAINING_KILLED: (self._kill_draining, "broker"),
            Fault.CONSUMER_KILLED: (_both(consumer.kill, consumer.start), "consumer"),
            Fault.BROKER_KILLED: (_both(system.broker.kill, system.broker.start), "broker"),
            Fault.DATABASE_KILLED: (_both(self._kill_database, system.postgres.ensure_running), "database"),
            Fault.CONSUMER_PAUSED: (_both(consumer.pause, consumer.resume), "consumer"),
            Fault.CONSUMER_GIVEN_UP: (_both(consumer.pause, consumer.resume), "consumer"),
            Fault.BROKER_PAUSED: (_both(system.broker.pause, system.broker.resume), "broker"),
            Fault.DATABASE_PAUSED: (self._pause_database, "database"),
            Fault.MEMBER_CAME_AND_WENT: (_comes_and_goes(system.new_consumer(f"extra-{planned.number}")), "member"),
        }
        for proxy, victim, cut, stalled, slow in (
            (system.to_broker, "broker", Fault.BROKER_CUT, Fault.BROKER_STALLED, Fault.BROKER_SLOW),
            (system.to_database, "database", Fault.DATABASE_CUT, Fault.DATABASE_STALLED, Fault.DATABASE_SLOW),
        ):
            slow_down = _slow(proxy.slow)
            actions[cut] = _both(proxy.cut, proxy.restore), victim
            actions[stalled] = _both(proxy.stall, proxy.restore), victim
            actions[slow] = _both(slow_down, proxy.restore), victim
        return actions[planned.fault]

    def _kill_draining(self, seconds: float) -> None:
        """Let the spools fill, and kill when the first of them gets emptier."""
        system = self._system
        with self._locks["api"]:
            _both(system.to_broker.cut, system.to_broker.restore)(seconds)
            # At full speed it would be over before anybody looked.
            system.to_broker.slow(DRAINING_BYTES_PER_SECOND)
            deadline, most = time.monotonic() + DRAINING_SECONDS, 0
            while (now := system.spooled()) >= most and time.monotonic() < deadline:
                most = now
                Signal().wait(SECONDS_BETWEEN_LOOKS)
            for api in system.apis:
                api.kill()
            # What they had sent is gone too, as with the machine that they ran on.
            system.to_broker.cut()
            system.to_broker.restore()
            for api in system.apis:
                api.start()

    def _kill_database(self) -> None:
        process = self._system.postgres.process()
        assert process is not None
        process.kill()
        psutil.wait_procs([process], timeout=SESSION_SECONDS)

    def _pause_database(self, seconds: float) -> None:
        stopped = self._system.database_processes()
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        Signal().wait(seconds)
        # The first one last: it starts no others before all those go on.
        for process in reversed(stopped):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def _both(begin: Callable[[], object], end: Callable[[], object]) -> Callable[[float], None]:
    def happen(seconds: float) -> None:
        begin()
        try:
            Signal().wait(seconds)
        finally:
            end()

    return happen


def _slow(slow: Callable[[int], None]) -> Callable[[], None]:
    return lambda: slow(SLOW_BYTES_PER_SECOND)


def _comes_and_goes(member: Service) -> Callable[[float], None]:
    return _both(member.start, member.end)
