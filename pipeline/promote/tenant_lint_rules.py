"""The rules of the tenant lint, over one query: rows of one tenant meet rows of the same tenant only.

It reads SQL as PostgreSQL understands it, with every relation holding tenant data, and what it cannot
follow it reports. Pure; where the queries come from is `tenant_lint`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from pipeline.promote.tenant_lint_sql import (
    TENANT,
    aggregates,
    equal_tenants,
    from_clause,
    grouped,
    has_grouping_sets,
    kept_by_distinct,
    names_tenant,
    passes_tenant,
    subqueries,
    windows,
)

FINAL = "the final select"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What is wrong where (a CTE's name, or FINAL), and what to do."""

    where: str
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What a query yields: does it hold tenant data, is `tenant_id` its first column, and to which
    relations of the query around it does an equality of tenants tie it?"""

    holds_tenants: bool = True
    leads_with_tenant: bool = True
    tied_to: frozenset[str] = frozenset()


NO_TENANTS = Relation(holds_tenants=False, leads_with_tenant=False)


def violations(query: str) -> list[Violation]:
    """Everything in the query that may mix tenants, from the inside out."""
    reader = _Reader()
    try:
        final = reader.query(sqlglot.parse_one(query, read="postgres"), {}, frozenset(), FINAL)
    except sqlglot.errors.ParseError as error:
        return [Violation(where=FINAL, problem=f"it cannot be parsed: {error}", remedy="Correct the SQL.")]
    if not final.leads_with_tenant:
        reader.report(FINAL, f"its first column is not {TENANT}", f"Select {TENANT} first.")
    return reader.found


class _Ties:
    """Which relations are tied to each other by equality of tenants."""

    def __init__(self) -> None:
        self._groups: list[set[str]] = []

    def tie(self, *names: str) -> None:
        met = [group for group in self._groups if group & {*names}]
        self._groups = [group for group in self._groups if group not in met] + [set(names).union(*met)]

    def group(self, name: str) -> set[str]:
        return next((group for group in self._groups if name in group), {name})


class _Reader:
    """Walks a query from the inside out and collects violations."""

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def report(self, where: str, problem: str, remedy: str) -> None:
        self.found.append(Violation(where=where, problem=problem, remedy=remedy))

    def query(self, node: exp.Expression, ctes: Mapping[str, Relation], outer: frozenset[str], where: str) -> Relation:
        """What the query yields, after reading its CTEs; `outer` are relations that it may refer to."""
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes, outer, where)
        known = dict(ctes)
        for cte in node.ctes if isinstance(node, exp.Query) else ():
            known[cte.alias] = self.query(cte.this, known, frozenset(), cte.alias)
        if isinstance(node, exp.SetOperation):
            sides = [self.query(side, known, outer, where) for side in (node.left, node.right)]
            return Relation(
                holds_tenants=any(side.holds_tenants for side in sides),
                leads_with_tenant=all(side.leads_with_tenant for side in sides),
                tied_to=sides[0].tied_to & sides[1].tied_to,
            )
        if isinstance(node, exp.Values):
            return NO_TENANTS
        if isinstance(node, exp.Select):
            return self._select(node, known, outer, where)
        self.report(where, f"{node.key} cannot be followed", "Write it as a select.")
        return Relation()

    def _select(self, select: exp.Select, ctes: Mapping[str, Relation], outer: frozenset[str], where: str) -> Relation:
        sources: dict[str, Relation] = {}
        ties = _Ties()
        for source, join in from_clause(select):
            name = source.alias_or_name
            sources[name] = self._source(source, ctes, outer | {*sources}, where)
            ties.tie(name, *sources[name].tied_to)
            _tie_join(join, name, {*sources}, ties)
        for pair in equal_tenants(select.args.get("where"), {*sources}):
            ties.tie(*pair)

        tenants = [name for name, relation in sources.items() if relation.holds_tenants]
        self._require_ties(tenants, ties, where)
        tied_to = frozenset(ties.group(tenants[0]) & (outer - {*sources})) if tenants else frozenset()
        if tenants:
            self._passing_on(select, {*tenants}, where)
            self._grouping(select, {*tenants}, where, one_tenant=bool(tied_to))
        if tenants and not tied_to:
            self._choosing(select, {*tenants}, where)
        self._subqueries(select, ctes, outer | {*sources}, where)
        return Relation(holds_tenants=bool(tenants), leads_with_tenant=_leads(select, sources), tied_to=tied_to)

    def _source(
        self, source: exp.Expression, ctes: Mapping[str, Relation], outer: frozenset[str], where: str
    ) -> Relation:
        match source:
            case exp.Table() if isinstance(source.this, exp.Identifier):
                return Relation() if source.db else ctes.get(source.name, Relation())
            case exp.Lateral() if isinstance(source.this, exp.Subquery):
                return self.query(source.this, ctes, outer, where)
            case exp.Subquery():
                return self.query(source, ctes, frozenset(), where)
            case exp.Table() | exp.Lateral() | exp.Unnest() | exp.Values():
                return NO_TENANTS  # a function of a row, or a list
        self.report(where, f"{source.key} in its from clause cannot be followed", "Name a relation or a CTE.")
        return Relation()

    def _require_ties(self, tenants: list[str], ties: _Ties, where: str) -> None:
        for name in tenants[1:]:
            if tenants[0] not in ties.group(name):
                self.report(
                    where,
                    f"{name} is joined without equality of {TENANT}",
                    f"Join on {{{{ same_tenant('{tenants[0]}', '{name}') }}}}.",
                )
                ties.tie(tenants[0], name)

    def _passing_on(self, select: exp.Select, tenants: set[str], where: str) -> None:
        for item in select.expressions:
            if item.output_name == TENANT and not passes_tenant(item, tenants):
                self.report(where, f"it names something else {TENANT}", f"Pass {TENANT} on as it is.")

    def _grouping(self, select: exp.Select, tenants: set[str], where: str, *, one_tenant: bool) -> None:
        group = select.args.get("group")
        if group is not None and (not names_tenant(grouped(select, group), tenants) or has_grouping_sets(group)):
            self.report(where, f"it groups by less than {TENANT}", f"Add {TENANT} to the group by.")
        elif group is None and not one_tenant and any(map(aggregates, select.expressions)):
            self.report(where, "it aggregates all tenants together", f"Add group by {TENANT}.")

    def _choosing(self, select: exp.Select, tenants: set[str], where: str) -> None:
        """What ranks rows against others, or drops some for the sake of others."""
        for window in windows(select):
            if not names_tenant(window.args.get("partition_by") or (), tenants):
                self.report(where, "a window spans tenants", f"Add {TENANT} to its partition by.")
        kept = kept_by_distinct(select)
        if kept is not None and not names_tenant(kept, tenants) and not any(item.is_star for item in kept):
            self.report(where, f"its distinct leaves {TENANT} out", f"Add {TENANT} to it.")
        if select.args.get("limit") is not None:
            self.report(where, "its limit keeps rows of some tenants only", "Rank rows within each tenant instead.")

    def _subqueries(self, select: exp.Select, ctes: Mapping[str, Relation], outer: frozenset[str], where: str) -> None:
        for node in subqueries(select):
            inner = self.query(node, ctes, outer, where)
            if inner.holds_tenants and not inner.tied_to:
                self.report(
                    where,
                    "a subquery looks at all tenants",
                    f"Add an equality of {TENANT} with the query around it: {{{{ same_tenant(...) }}}}.",
                )


def _tie_join(join: exp.Join | None, name: str, sources: set[str], ties: _Ties) -> None:
    if join is None:
        return
    if TENANT in {column.name for column in join.args.get("using") or ()}:
        ties.tie(*sources)
    for pair in equal_tenants(join.args.get("on"), sources):
        # The condition of an outer join restricts the relation that it joins, no other.
        if not join.side or name in pair:
            ties.tie(*pair)


def _leads(select: exp.Select, sources: Mapping[str, Relation]) -> bool:
    first = select.expressions[0]
    if first.is_star:
        table = first.table if isinstance(first, exp.Column) else next(iter(sources), "")
        return sources.get(table, NO_TENANTS).leads_with_tenant
    return bool(first.output_name == TENANT)
