"""One examination of a candidate: runs what was compiled, and keeps what it found by rule and by tenant.

Statements do not depend on each other, so a few sessions share them. One that fails makes its rules
errored and ends the examination: everybody is errored then, and what follows would only take time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

import psycopg

from checks.failing import FailingRows
from checks.judgement import Session
from checks.rules import Rule, Suite
from checks.validation import Outcome

if TYPE_CHECKING:
    # It imports Great Expectations.
    from checks.one_pass.compiled import Compiled, Judged, Scan, Together

Found = Mapping[str | None, FailingRows]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """How a rule ended: with failing rows by tenant (none if it passed), or without an answer for `error`."""

    suite: Suite
    rule: Rule
    found: Found = field(default_factory=dict)
    error: str | None = None


Step = Callable[[Session], list[Examined]]


class Examination:
    """Examines one candidate in `sessions`; `results` and `rows` are what it found."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._all = tuple(sessions)
        self._sessions: SimpleQueue[Session] = SimpleQueue()
        for session in sessions:
            self._sessions.put(session)
        self._over = Event()
        self.results: list[Examined] = []
        self.rows: dict[str, dict[str | None, int]] = {}
        """Rows by table and tenant, of the tables that were scanned."""

    @property
    def is_over(self) -> bool:
        """Whether something was left without an answer."""
        return self._over.is_set()

    def run(self, compiled: Compiled) -> None:
        """Scan every table, then ask what takes more than one, the longest first, until there is an error."""
        for broken in compiled.broken:
            self._keep(Examined(suite=broken.suite, rule=broken.rule, error=broken.reason))
        self._share((scan.rules, partial(self._scan, scan)) for scan in compiled.scans)
        together = [(part.rules, partial(_ask_together, part)) for part in compiled.together]
        self._share([*together, *(([judged], partial(_ask, judged)) for judged in compiled.queries)])

    def take_in(self, suite: Suite, outcomes: Iterable[Outcome]) -> None:
        """What Great Expectations said of a suite, with the rows that it let fail."""
        session = self._sessions.get()
        for outcome in outcomes:
            found = {} if outcome.failing is None else session.failing_rows(outcome.failing)
            lost = outcome.failing is not None and not found
            error = "it failed, but its failing rows could not be found" if lost else outcome.error
            self._keep(Examined(suite=suite, rule=outcome.rule, found=found, error=error))
        self._sessions.put(session)

    def rows_of(self, tenant: str) -> dict[str, int]:
        """How many rows a tenant has in each table that was scanned."""
        return {table: rows.get(tenant, 0) for table, rows in self.rows.items()}

    def _share(self, steps: Iterable[tuple[Sequence[Judged], Step]]) -> None:
        with ThreadPoolExecutor(len(self._all)) as pool:
            try:
                for results in pool.map(lambda step: self._take(*step), steps):
                    for result in results:
                        self._keep(result)
            except BaseException:
                # Who wants to end the process does not wait for a statement.
                self._over.set()
                for session in self._all:
                    session.cancel()
                raise

    def _take(self, rules: Sequence[Judged], step: Step) -> list[Examined]:
        if self.is_over:
            return []
        session = self._sessions.get()
        try:
            return step(session)
        except (psycopg.Error, TimeoutError) as error:
            self._over.set()
            if not rules:
                raise
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            return [Examined(suite=judged.suite, rule=judged.rule, error=reason) for judged in rules]
        finally:
            self._sessions.put(session)

    def _keep(self, result: Examined) -> None:
        if result.error is not None:
            self._over.set()
        self.results.append(result)

    def _scan(self, scan: Scan, session: Session) -> list[Examined]:
        failing: list[dict[str | None, int]] = [{} for _ in scan.rules]
        rows = self.rows.setdefault(scan.suite.table.name, {})
        for tenant, all_rows, *counts in session.answers(scan.statement):
            rows[tenant] = all_rows
            for counted, count in zip(failing, counts, strict=True):
                if count:
                    counted[tenant] = count
        return [_look_at(judged, counted, session) for judged, counted in zip(scan.rules, failing, strict=True)]


def _ask_together(together: Together, session: Session) -> list[Examined]:
    failing: dict[int, dict[str | None, int]] = defaultdict(dict)
    for number, tenant, count in session.answers(together.statement):
        failing[number][tenant] = count
    return [_look_at(judged, failing[number], session) for number, judged in enumerate(together.rules)]


def _ask(judged: Judged, session: Session) -> list[Examined]:
    return [Examined(suite=judged.suite, rule=judged.rule, found=session.failing_rows(judged.failing))]


def _look_at(judged: Judged, counted: Mapping[str | None, int], session: Session) -> Examined:
    """Fetch rows only of a rule that failed; they must be those that were counted."""
    found = session.failing_rows(judged.failing) if counted else {}
    changed = {tenant: rows.count for tenant, rows in found.items()} != counted
    error = "its failing rows are not those that were counted: the candidate changed while it was judged"
    return Examined(suite=judged.suite, rule=judged.rule, found=found, error=error if changed else None)
