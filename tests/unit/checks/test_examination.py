"""The examination's own doubts, on sessions that answer what a test tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import psycopg
import pytest

from checks.failing import FailingRows
from checks.judgement import Session
from checks.one_pass.compiled import Compiled, compile_suites
from checks.one_pass.examination import Examination
from checks.rules import Rule, Suite, Table, no_rows_where
from checks.validation import Outcome

RULE = Rule(name="no_holes", severity="stop", why="Holes hurt.", expectation=no_rows_where("hole", show=["hole"]))


class Answering:
    """A session that answers the same to every statement, and to every look at failing rows."""

    def __init__(
        self,
        *answers: tuple[Any, ...],
        found: Mapping[str | None, int] | None = None,
        error: BaseException | None = None,
    ) -> None:
        self._answers = answers
        self._error = error
        self.is_cancelled = False
        self._found = found or {}
        self.asked: list[str] = []

    def answers(self, statement: str) -> list[tuple[Any, ...]]:
        """All of its answers, unless it has an error."""
        self.asked.append(statement)
        if self._error is not None:
            raise self._error
        return list(self._answers)

    def failing_rows(self, query: str) -> dict[str | None, FailingRows]:
        """As many as it was told."""
        self.asked.append(query)
        return {tenant: FailingRows(count=count, samples=()) for tenant, count in self._found.items()}

    def cancel(self) -> None:
        """Remember it."""
        self.is_cancelled = True


def compiled(*tables: str) -> Compiled:
    """The same rule on each table."""
    key = ("tenant_id", "part_id")
    return compile_suites([Suite(boundary=name, table=Table(name=name, key=key), rules=(RULE,)) for name in tables])


def examine(session: Answering, rules: Compiled) -> Examination:
    """Examine in one session."""
    examination = Examination([cast("Session", session)])
    examination.run(rules)
    return examination


def test_rows_are_looked_at_only_of_a_rule_that_failed() -> None:
    clean = Answering(("acme", 3, 0), ("globex", 2, 0))
    examination = examine(clean, compiled("parts"))
    assert [(result.found, result.error) for result in examination.results] == [({}, None)]
    assert examination.rows_of("acme") == {"parts": 3}
    assert len(clean.asked) == 1

    spoilt = Answering(("acme", 3, 2), ("globex", 2, 0), found={"acme": 2})
    (result,) = examine(spoilt, compiled("parts")).results
    assert (result.found["acme"].count, result.error) == (2, None)


@pytest.mark.parametrize("found", [{}, {"acme": 1}, {"acme": 2, "globex": 1}, {None: 2}])
def test_failing_rows_that_are_not_those_that_were_counted_are_an_error(found: Mapping[str | None, int]) -> None:
    examination = examine(Answering(("acme", 3, 2), ("globex", 2, 0), found=found), compiled("parts"))
    (result,) = examination.results
    assert "are not those that were counted" in (result.error or "")
    assert examination.is_over


def test_a_statement_without_an_answer_ends_the_examination() -> None:
    session = Answering(error=psycopg.OperationalError("the connection is lost\nand more"))
    examination = examine(session, compiled("parts", "wholes"))
    assert [(result.suite.boundary, result.error) for result in examination.results] == [
        ("parts", "the connection is lost")
    ]
    assert len(session.asked) == 1


def test_whoever_ends_the_process_does_not_wait_for_statements() -> None:
    sessions = [Answering(error=KeyboardInterrupt()), Answering()]
    examination = Examination([cast("Session", session) for session in sessions])
    with pytest.raises(KeyboardInterrupt):
        examination.run(compiled("parts"))
    assert [session.is_cancelled for session in sessions] == [True, True]


def test_a_rule_that_fails_natively_without_a_failing_row_is_an_error() -> None:
    (scan,) = compiled("parts").scans
    examination = Examination([cast("Session", Answering())])
    examination.take_in(scan.suite, [Outcome(rule=RULE, failing="select tenant_id from parts")])
    assert [result.error for result in examination.results] == ["it failed, but its failing rows could not be found"]
