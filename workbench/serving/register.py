"""The notebook sessions that are open: whose each is, how many there may be, and how they end.

Everything happens on the server's event loop; nothing here waits. What marimo holds is known through a port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from workbench.serving.visitors import Visitor


class Kernels(Protocol):
    """What runs the notebooks."""

    def alive(self, notebook: str, session: str) -> bool:
        """Whether the session runs, with a browser or waiting for one."""

    def close(self, notebook: str, session: str) -> None:
        """End the session at once, if it runs."""


class Why(Enum):
    """Why a session is ended or not begun: what the log and the metrics call it."""

    SIGNED_OUT = "signed out"
    EXPIRED = "sign-in ended"
    IDLE = "idle"
    CLOSED = "closed by its user"
    SHUTDOWN = "server ends"
    USER_IS_FULL = "too many of the user"
    TENANT_IS_FULL = "too many of the tenant"
    SERVER_IS_FULL = "too many"


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions there may be at once."""

    user: int
    tenant: int
    server: int


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Who opens which notebook, and whose data they read; None where it is about all tenants."""

    visitor: Visitor
    tenant_id: str | None
    notebook: str


class Line:
    """One live connection of a browser; whoever holds it may end it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.why: Why | None = None

    def end(self, why: Why) -> None:
        """End it; the first reason counts."""
        if self.why is None:
            self.why = why
            self.ended.set()


@dataclass
class Entry:
    """A session by its inner id, when it was last used (seconds of a monotonic clock), and its connections."""

    session: str
    visit: Visit
    used_at: float
    lines: set[Line] = field(default_factory=set)


class Register:
    """All sessions of this process."""

    def __init__(self, kernels: Kernels, caps: Caps, clock: Callable[[], float]) -> None:
        self._kernels = kernels
        self._caps = caps
        self._clock = clock
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def lines(self) -> int:
        """How many browsers are connected."""
        return sum(len(entry.lines) for entry in self._entries.values())

    def entries(self) -> list[Entry]:
        """What is open now."""
        return list(self._entries.values())

    def of(self, sign_in: str) -> list[Entry]:
        """What is open by one sign-in."""
        return [entry for entry in self._entries.values() if entry.visit.visitor.sign_in == sign_in]

    def refusal(self, visit: Visit) -> Why | None:
        """Why one more session cannot be begun, None if it can."""
        self._forget_gone()
        plan = room_for(self.entries(), visit, self._caps)
        return plan if isinstance(plan, Why) else None

    def open(self, session: str, visit: Visit) -> Line | Why:
        """Connect to a session, begun now if there is none; or why not.

        Sessions that wait for a browser that is gone make room for new ones, the longest unused first.
        """
        self._forget_gone()
        if session not in self._entries:
            plan = room_for(self.entries(), visit, self._caps)
            if isinstance(plan, Why):
                return plan
            for entry in plan:
                self._end(entry, Why.CLOSED)
            self._entries[session] = Entry(session=session, visit=visit, used_at=self._clock())
        line = Line()
        entry = self._entries[session]
        entry.lines.add(line)
        entry.used_at = self._clock()
        return line

    def leave(self, session: str, line: Line) -> None:
        """The browser is gone; its session may wait for it a while."""
        entry = self._entries.get(session)
        if entry is not None:
            entry.lines.discard(line)

    def use(self, session: str) -> bool:
        """Note that a session is used; whether there is one."""
        entry = self._entries.get(session)
        if entry is None:
            return False
        entry.used_at = self._clock()
        return True

    def end(self, entries: Iterable[Entry], why: Why) -> int:
        """End sessions, their connections and kernels, at once; how many."""
        return sum(1 for entry in list(entries) if self._end(entry, why))

    def idle(self, seconds: float) -> list[Entry]:
        """What has not been used for so long."""
        return [entry for entry in self._entries.values() if self._clock() - entry.used_at >= seconds]

    def _end(self, entry: Entry, why: Why) -> bool:
        if self._entries.pop(entry.session, None) is None:
            return False
        for line in entry.lines:
            line.end(why)
        self._kernels.close(entry.visit.notebook, entry.session)
        return True

    def _forget_gone(self) -> None:
        gone = [
            entry.session
            for entry in self._entries.values()
            if not entry.lines and not self._kernels.alive(entry.visit.notebook, entry.session)
        ]
        for session in gone:
            del self._entries[session]


def room_for(entries: Sequence[Entry], visit: Visit, caps: Caps) -> list[Entry] | Why:
    """What must end so that one more session fits: sessions without a browser; or why it cannot fit. Pure."""
    person, tenant = visit.visitor.principal.user_id, visit.tenant_id
    ending: list[Entry] = []
    for cap, why, counted in (
        (caps.user, Why.USER_IS_FULL, [e for e in entries if e.visit.visitor.principal.user_id == person]),
        (caps.tenant, Why.TENANT_IS_FULL, [e for e in entries if tenant is not None and e.visit.tenant_id == tenant]),
        (caps.server, Why.SERVER_IS_FULL, list(entries)),
    ):
        remaining = [entry for entry in counted if entry not in ending]
        excess = len(remaining) - cap + 1
        if excess <= 0:
            continue
        waiting = sorted((entry for entry in remaining if not entry.lines), key=lambda entry: entry.used_at)
        if len(waiting) < excess:
            return why
        ending += waiting[:excess]
    return ending
