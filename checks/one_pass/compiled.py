"""A suite as the statements that judge it, made once and used for every promotion. Nothing here runs them.

The rules about single rows, and the uniqueness of the key, are one scan: a count of rows for each tenant,
and of failing rows for each rule. A rule that reads other tables is a statement of its own; rules that
share queries are one statement together. What cannot be translated is left to Great Expectations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from checks import expectations
from checks.one_pass.translation import FailingRowsQuery, OneRowPerKey, RowCondition, Translation, translate
from checks.rules import Rule, Suite, Table

# What a rule raises that has no expectation to give.
UNUSABLE = (AttributeError, LookupError, TypeError, ValueError)

SCAN = """
select tenant_id, {sums}
from (
    select {key}, count(*) as all_rows{counts}
    from {table}
    group by {key}
) as by_key
group by tenant_id
"""
SCAN_WITHOUT_KEY = "select tenant_id, count(*) as all_rows{counts} from {table} group by tenant_id"
COUNT = "count(*) filter (where {condition}) as failing_{number}"
SUM = "sum(failing_{number})::bigint"
TWICE = "count(*) filter (where all_rows > 1)"

SAMPLE = "select {columns} from {table} where {condition}"

TOGETHER = """
with {shared}
select rule, tenant, count(*)
from (
    {branches}
) as failing (rule, tenant)
group by rule, tenant
"""
SHARED = "{name} as materialized (\n{query}\n)"
BRANCH = "select {number}, tenant from (\n{query}\n) as of_rule_{number} (tenant)"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A rule, and the query that answers its failing rows: tenant_id first, then what a sample shows."""

    suite: Suite
    rule: Rule
    failing: str


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A rule of which no expectation could be made."""

    suite: Suite
    rule: Rule
    reason: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One pass over a table: tenant_id, its rows, and the failing rows of each of `rules` in their order."""

    suite: Suite
    statement: str
    rules: tuple[Judged, ...]


@dataclass(frozen=True, kw_only=True)
class Together:
    """One statement for rules that share queries: index in `rules`, tenant_id and its failing rows."""

    statement: str
    rules: tuple[Judged, ...]


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What judges suites: scans, queries of failing rows, and what Great Expectations judges by itself.

    `native` has suites of the rules that stay untranslated alone. `basis` is all that a rule's outcome
    depends on, as text, by boundary and rule, in the order of the suites.
    """

    scans: tuple[Scan, ...]
    queries: tuple[Judged, ...]
    together: tuple[Together, ...]
    native: tuple[Suite, ...]
    broken: tuple[Broken, ...]
    basis: tuple[tuple[str, str, str], ...]

    def position(self, boundary: str, rule: str) -> int:
        """Where a rule stands among all."""
        return [entry[:2] for entry in self.basis].index((boundary, rule))


def compile_suites(suites: Sequence[Suite]) -> Compiled:
    """Compile suites, which takes a moment each. A rule that cannot be made into an expectation is `broken`."""
    drafts = [_draft(suite) for suite in suites]
    queries = [query for draft in drafts for query in draft.queries]
    return Compiled(
        scans=tuple(_scan(draft) for draft in drafts),
        queries=tuple(judged for judged, query in queries if not query.shared),
        together=tuple(_together(queries)),
        native=tuple(replace(draft.suite, rules=tuple(draft.native)) for draft in drafts if draft.native),
        broken=tuple(broken for draft in drafts for broken in draft.broken),
        basis=tuple((draft.suite.boundary, *entry) for draft in drafts for entry in draft.basis),
    )


@dataclass(kw_only=True)
class _Draft:
    """A suite, its rules sorted by how they are judged."""

    suite: Suite
    row_rules: list[tuple[Judged, str]] = field(default_factory=list)
    """With the condition on a row, or none for the uniqueness of the key."""
    queries: list[tuple[Judged, FailingRowsQuery]] = field(default_factory=list)
    native: list[Rule] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    basis: list[tuple[str, str]] = field(default_factory=list)

    def add(self, rule: Rule, expectation: Any, translation: Translation | None) -> None:
        """Sort in a rule."""
        suite = self.suite
        if translation is None:
            self.native.append(rule)
            self.basis.append((rule.name, f"{expectation.expectation_type} {expectation.configuration.kwargs!r}"))
            return
        if isinstance(translation, RowCondition):
            failing = _sample(suite.table, translation)
            self.row_rules.append((Judged(suite=suite, rule=rule, failing=failing), translation.condition))
        elif isinstance(translation, OneRowPerKey):
            failing = translation.query
            self.row_rules.append((Judged(suite=suite, rule=rule, failing=failing), ""))
        else:
            failing = _with(translation.shared, translation.query)
            self.queries.append((Judged(suite=suite, rule=rule, failing=failing), translation))
        self.basis.append((rule.name, failing))


def _draft(suite: Suite) -> _Draft:
    draft = _Draft(suite=suite)
    for rule in suite.rules:
        try:
            expectation = rule.expectation(expectations)
            translation = translate(expectation, suite.table)
        except UNUSABLE as error:
            # A rule that nobody can evaluate makes a report that says so, not an end of the process.
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            draft.broken.append(Broken(suite=suite, rule=rule, reason=reason))
            draft.basis.append((rule.name, reason))
        else:
            draft.add(rule, expectation, translation)
    return draft


def _scan(draft: _Draft) -> Scan:
    table = draft.suite.table
    conditions = [condition for _, condition in draft.row_rules]
    counts = [
        COUNT.format(condition=condition, number=number) for number, condition in enumerate(conditions) if condition
    ]
    columns = "".join(f",\n    {count}" for count in counts)
    if all(conditions):
        statement = SCAN_WITHOUT_KEY.format(table=table.name, counts=columns)
    else:
        sums = [SUM.format(number=number) if condition else TWICE for number, condition in enumerate(conditions)]
        statement = SCAN.format(
            table=table.name, key=", ".join(table.key), counts=columns, sums=", ".join(["sum(all_rows)::bigint", *sums])
        )
    return Scan(suite=draft.suite, statement=statement, rules=tuple(judged for judged, _ in draft.row_rules))


def _together(queries: Sequence[tuple[Judged, FailingRowsQuery]]) -> Iterator[Together]:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[Judged, FailingRowsQuery]]] = {}
    for judged, query in queries:
        if query.shared:
            groups.setdefault(tuple(query.shared.items()), []).append((judged, query))
    for shared, members in groups.items():
        branches = [BRANCH.format(number=number, query=query.query) for number, (_, query) in enumerate(members)]
        statement = TOGETHER.format(shared=_named(dict(shared)), branches="\nunion all\n".join(branches))
        yield Together(statement=statement, rules=tuple(judged for judged, _ in members))


def _sample(table: Table, translation: RowCondition) -> str:
    columns = ", ".join([*table.key, *(shown for shown in translation.show if shown.strip('"') not in table.key)])
    return SAMPLE.format(columns=columns, table=table.name, condition=translation.condition)


def _with(shared: Mapping[str, str], query: str) -> str:
    return f"with {_named(shared)}\n{query}" if shared else query


def _named(shared: Mapping[str, str]) -> str:
    return ",\n".join(SHARED.format(name=name, query=query) for name, query in shared.items())
