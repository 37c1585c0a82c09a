"""What became of every line of an import. Nothing is counted twice, nothing is left out:

lines = accepted + duplicate + conflict + invalid + refused + unreadable + unanswered
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import StrEnum

import msgspec

from workbench.importing.lines import AnyLine, Line, Unreadable

BAD_LINES_TOLD = 20


class LineOutcome(StrEnum):
    """What became of a line."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """Its event_id is taken by an event with another content."""
    INVALID = "invalid"
    """The API refuses the event."""
    REFUSED = "refused"
    """Its tenant is unknown, suspended, or cannot be one."""
    UNREADABLE = "unreadable"
    """It is no JSON object that names its tenant."""


STORED = frozenset({LineOutcome.ACCEPTED, LineOutcome.DUPLICATE})


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines came to what; `unanswered` ones were read, but the import ended before."""

    lines: int
    accepted: int
    duplicate: int
    conflict: int
    invalid: int
    refused: int
    unreadable: int
    unanswered: int

    @property
    def bad(self) -> int:
        """Lines that are not stored, and will not be by trying again."""
        return self.conflict + self.invalid + self.refused + self.unreadable


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not taken."""

    number: int
    tenant_id: str | None
    outcome: LineOutcome
    reason: str


class Account:
    """Keeps the tally per tenant, and the first bad lines; `on_bad` is told of each bad line."""

    def __init__(self, on_bad: Callable[[AnyLine], None] | None = None) -> None:
        self.bad_lines: list[BadLine] = []
        self.ids_given = 0
        self._on_bad = on_bad
        self._read: Counter[str | None] = Counter()
        self._outcomes: defaultdict[str | None, Counter[LineOutcome]] = defaultdict(Counter)

    def read(self, line: AnyLine) -> None:
        """A line was read. What is unreadable is settled by that."""
        if isinstance(line, Unreadable):
            self._read[None] += 1
            self._settle(line, None, LineOutcome.UNREADABLE, line.reason)
        else:
            self._read[line.tenant_id] += 1
            self.ids_given += line.id_given

    def settle(self, line: Line, outcome: LineOutcome, reason: str | None = None) -> None:
        """A line that was read came to its outcome."""
        self._settle(line, line.tenant_id, outcome, reason or "")

    def tenants(self) -> dict[str | None, Tally]:
        """The tally per tenant, in order; None is for lines that name none."""
        names = sorted(self._read, key=lambda name: (name is None, name))
        return {name: _tally(self._read[name], self._outcomes[name]) for name in names}

    def total(self) -> Tally:
        """The tally of all lines."""
        return _tally(self._read.total(), sum(self._outcomes.values(), Counter()))

    def settled(self) -> int:
        """Lines that came to an outcome."""
        return sum(outcomes.total() for outcomes in self._outcomes.values())

    def _settle(self, line: AnyLine, tenant_id: str | None, outcome: LineOutcome, reason: str) -> None:
        self._outcomes[tenant_id][outcome] += 1
        if outcome in STORED:
            return
        bad = BadLine(number=line.number, tenant_id=tenant_id, outcome=outcome, reason=reason)
        insort(self.bad_lines, bad, key=lambda known: known.number)
        del self.bad_lines[BAD_LINES_TOLD:]
        if self._on_bad is not None:
            self._on_bad(line)


def _tally(lines: int, outcomes: Counter[LineOutcome]) -> Tally:
    counts = {outcome.value: outcomes[outcome] for outcome in LineOutcome}
    return Tally(lines=lines, unanswered=lines - outcomes.total(), **counts)
