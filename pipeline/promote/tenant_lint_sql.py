"""What the tenant lint asks of a parsed select: its sources, its equalities, what it groups by.

It knows SQL, not the rules; those are in `tenant_lint_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

TENANT = "tenant_id"


def from_clause(select: exp.Select) -> Iterator[tuple[exp.Expression, exp.Join | None]]:
    """The sources of a select in order, each with the join that brings it in."""
    first = select.args.get("from_")
    if first is not None:
        yield first.this, None
    for lateral in select.args.get("laterals") or ():
        yield lateral, None
    for join in select.args.get("joins") or ():
        yield join.this, join


def equal_tenants(condition: exp.Expression | None, sources: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs of relations whose tenants a condition makes equal, whatever else holds."""
    if isinstance(condition, exp.Where):
        condition = condition.this
    for part in condition.flatten() if isinstance(condition, exp.And) else (condition,):
        part = part.unnest() if part is not None else None
        if isinstance(part, exp.And):
            yield from equal_tenants(part, sources)
        elif isinstance(part, exp.EQ):
            sides = [side for side in (part.left.unnest(), part.right.unnest()) if isinstance(side, exp.Column)]
            names = [side.table or (next(iter(sources)) if len(sources) == 1 else "") for side in sides]
            if [side.name for side in sides] == [TENANT, TENANT] and all(names):
                yield names[0], names[1]


def grouped(select: exp.Select, group: exp.Group) -> Iterator[exp.Expression]:
    """The expressions of a group by, with positions replaced by what stands there."""
    for item in group.expressions:
        yield select.expressions[int(item.name) - 1] if isinstance(item, exp.Literal) and item.is_int else item


def has_grouping_sets(group: exp.Group) -> bool:
    """Whether a group by also sums over some of its own columns."""
    return group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None


def kept_by_distinct(select: exp.Select) -> Sequence[exp.Expression] | None:
    """By what a select's distinct tells rows apart; None without one."""
    distinct = select.args.get("distinct")
    if distinct is None:
        return None
    on = distinct.args.get("on")
    return list(on.expressions if on is not None else select.expressions)


def windows(select: exp.Select) -> Iterator[exp.Window]:
    """The windows that a select defines, in its expressions or by name."""
    for window in select.find_all(exp.Window):
        if window.parent_select is select and window.args.get("alias") is None:
            yield window


def names_tenant(items: Iterable[exp.Expression], tenants: set[str]) -> bool:
    """Whether the tenant column of a relation with tenants is among the expressions."""
    return any(passes_tenant(item, tenants) for item in items)


def passes_tenant(item: exp.Expression, tenants: set[str]) -> bool:
    """Whether an expression is the tenant column of a relation with tenants, and nothing else."""
    column = item.unalias()
    return isinstance(column, exp.Column) and column.name == TENANT and (not column.table or column.table in tenants)


def aggregates(item: exp.Expression) -> bool:
    """Whether an aggregate function, not over a window and not in a subquery, is part of an expression."""
    return any(
        (isinstance(node, exp.AggFunc) or node.name.lower().endswith("_agg"))
        and not isinstance(_around(node), exp.Window)
        and node.parent_select is item.parent_select
        for node in item.find_all(exp.AggFunc, exp.Anonymous)
    )


def subqueries(select: exp.Select) -> Iterator[exp.Expression]:
    """Queries within a select's expressions and conditions, not those of its from clause."""
    joins = [join.args.get("on") for join in select.args.get("joins") or ()]
    clauses = [select.args.get(name) for name in ("where", "having", "group", "order", "distinct")]
    for root in (*select.expressions, *joins, *clauses):
        for node in root.find_all(exp.Select, exp.SetOperation) if root is not None else ():
            if node.parent_select is select and not isinstance(node.parent, exp.SetOperation):
                yield node


def _around(node: exp.Expression) -> exp.Expression | None:
    parent = node.parent
    while isinstance(parent, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        parent = parent.parent
    return parent
