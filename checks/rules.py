"""What a rule of the gate is, and a suite: the rules of one candidate table. Nothing here runs.

Nor does it import Great Expectations, which takes seconds: a rule holds the recipe of an
expectation, and reading the rules costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["stop", "warn"]

Setting = Literal["stop", "warn", "off"]
"""A severity, or that a rule is not for somebody."""

ExpectationFactory = Callable[[Any], Any]
"""Makes an expectation, given the namespace of expectations (`checks.expectations`)."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A candidate table; its key begins with tenant_id and names a row in samples."""

    name: str
    key: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Severities:
    """What a tuned rule is for those in `tenants`, and for all others."""

    otherwise: Setting
    tenants: Mapping[str, Setting] = field(default_factory=dict)

    def of(self, tenant_id: str | None) -> Severity | None:
        """The severity for a tenant; None where the rule is off."""
        setting = self.otherwise if tenant_id is None else self.tenants.get(tenant_id, self.otherwise)
        return None if setting == "off" else setting

    def all(self) -> Iterable[Setting]:
        """Every setting that is one of somebody."""
        return {self.otherwise, *self.tenants.values()}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that must hold for every row of a candidate table.

    `stop` holds the tenant of a failing row, `warn` only tells. `why` says in a sentence or two how
    such a row would hurt; stewards read it beside the rows. `severities` is given where tenants differ:
    `severity` is then the strictest of them. A rule that `tells_of_others` has something to say of
    tenants that the promotion does not take up, and never stops.

    What concerns one column is an expectation of Great Expectations, and passes where the column is
    null. What concerns several is `no_rows_where`, and what needs other tables `no_rows`: on SQL, theirs let
    a row pass for one null among them.
    """

    name: str
    severity: Severity
    why: str
    expectation: ExpectationFactory
    severities: Severities | None = None
    tells_of_others: bool = False

    def severity_for(self, tenant_id: str | None) -> Severity | None:
        """The severity for a tenant, None where the rule is off; the first None is for rows without a tenant."""
        return self.severity if self.severities is None else self.severities.of(tenant_id)

    @property
    def is_in_force(self) -> bool:
        """Whether the rule is on for anybody."""
        return self.severities is None or set(self.severities.all()) != {"off"}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The rules of one candidate table at a boundary."""

    boundary: str
    table: Table
    rules: tuple[Rule, ...]


def no_rows(query: str, *, shared: Mapping[str, str] | None = None) -> ExpectationFactory:
    """The expectation that a query answers no rows: each is a failing one.

    `{batch}` stands for the table, without an alias unless the query joins. The first column is
    tenant_id, the others become the samples. A row must be answered where a null makes a comparison
    unknown: write `is distinct from`, or `is not true`. No other braces, and no colons but in casts.
    `shared` are queries that it reads by their names, judged together with other rules that share them.
    """
    return lambda gx: gx.ExpectNoRows(unexpected_rows_query=query, shared=shared)


def no_rows_where(condition: str, *, show: Sequence[str]) -> ExpectationFactory:
    """The expectation that a condition on the row alone, which only a failing row meets, holds for no row.

    Samples are the table's key and the expressions in `show`. All such rules of a table are judged in
    one pass over it, so prefer this to `no_rows`, and take care of nulls, braces and colons as there.
    """
    return lambda gx: gx.ExpectNoRowsWhere(condition=condition, show=list(show))
