"""What a rule of the gate is, and a suite: the rules of one candidate table. Nothing here runs.

Nor does it import Great Expectations, which takes seconds: a rule holds the recipe of an
expectation, and reading the rules costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["stop", "warn"]

ExpectationFactory = Callable[[Any], Any]
"""Makes an expectation, given the namespace of expectations (`checks.expectations`)."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A candidate table; its key begins with tenant_id and names a row in samples."""

    name: str
    key: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that must hold for every row of a candidate table.

    `stop` holds the tenant of a failing row, `warn` only tells. `why` says in a sentence or two how
    such a row would hurt; stewards read it beside the rows.

    What concerns one column is an expectation of Great Expectations, and passes where the column is
    null. What concerns several is `no_rows`: on SQL, theirs let a row pass for one null among them.
    """

    name: str
    severity: Severity
    why: str
    expectation: ExpectationFactory


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The rules of one candidate table at a boundary."""

    boundary: str
    table: Table
    rules: tuple[Rule, ...]


def no_rows(query: str) -> ExpectationFactory:
    """The expectation that a query answers no rows: each is a failing one.

    `{batch}` stands for the table, without an alias unless the query joins. The first column is
    tenant_id, the others become the samples. A row must be answered where a null makes a comparison
    unknown: write `is distinct from`, or `is not true`. No other braces, and no colons but in casts.
    """
    return lambda gx: gx.ExpectNoRows(unexpected_rows_query=query)
