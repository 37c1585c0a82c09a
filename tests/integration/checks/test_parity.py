"""The compiled rules and Great Expectations itself come to the same verdict, expectation by expectation."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from checks import expectations, validation
from checks.gate import ExpectationsGate
from checks.judgement import Judgement
from checks.rules import ExpectationFactory, Rule, Suite, Table, no_rows, no_rows_where
from checks.suites import SUITES
from pipeline.core.database import ServiceRole
from tests.integration.checks.conftest import TABLES, World
from tests.integration.checks.plants import CHANGE, COLUMNS, ELSEWHERE, LOSE, built

Outcomes = dict[tuple[str, str], str]
"""By boundary and rule: passed, failed or errored."""

TENANTS = tuple(f"tenant-{number}" for number in range(12))
CANDIDATES = 7
SEEDS = range(5)

# What plants do by sending it wrong, here built wrong, so that a clean candidate can be had back.
ALSO_WRONG = (
    *(
        ("fct_usage_events", change)
        for change in (
            "lag_seconds = -3600.5",
            "lag_seconds = -3600",
            "lag_seconds = 'NaN'",
            "occurred_at = '1999-12-31 23:59:59Z'",
            "occurred_at = '2000-01-01Z'",
            "event_type = 'Page View'",
            "event_type = E'page\\nview'",
            "event_type = 'a.b.'",
            "event_type = ''",
            "user_id = ''",
            "session_id = ''",
        )
    ),
    ("fct_sessions", "duration_seconds = 7 * 24 * 3600"),
    ("fct_sessions", "duration_seconds = 7 * 24 * 3600 + 0.5"),
)

ODD = Table(name="odd", key=("tenant_id", "id"))
CREATE_ODD = """
create table candidate.odd (
    tenant_id text, id int, n bigint, x double precision, t text, at timestamptz, d date, a int, b int, c int
);
grant select on candidate.odd to workbench_publisher
"""
TEXTS = ("", " ", "a", "A", "ab", "a'b", "a\\b", "é", "%", "100%", ":x", "{batch}", "a\nb", '"', None)
REGEXES = (
    "^a",
    "a$",
    r"\d+",
    "^[a-z]{2}$",
    "'",
    "%",
    ":x",
    r"\\",
    "(?i)^A$",
    "^$",
    "é",
    "^.?$",
    r"\{",
    ".",
    '"',
    "[^a]",
)
CONDITIONS = (
    "(a <= b) is not true",
    "num_nulls(a, b) > 0",
    "t = '{{'",
    "x = 'NaN'",
    "t ~ '^a{{1}}$'",
    "n is distinct from a",
)
QUERY = "select tenant_id, a from {{batch}} where {condition}"
NUMBERS = (-2, -1, 0, 1, 2, 2**40, None)
FLOATS = (-1.5, -0.0, 0.0, 0.1, 1e300, float("nan"), float("inf"), None)
MOMENTS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), None)
DATES = (date(1970, 1, 1), date(2026, 2, 28), None)


def natively(world: World, suites: Sequence[Suite]) -> Outcomes:
    """What Great Expectations says by itself."""
    url = world.database.url(ServiceRole.PUBLISHER)
    judgement = Judgement(url=url, promotion_id=2, deadline=time.monotonic() + 100)
    outcomes: Outcomes = {}
    with validation.opened(validation.new_context(), judgement) as source:
        for suite in suites:
            for outcome in validation.validate(source, suite):
                state = "errored" if outcome.error else "failed" if outcome.failing else "passed"
                outcomes[suite.boundary, outcome.rule.name] = state
    return outcomes


def compiled(world: World, suites: Sequence[Suite]) -> Outcomes:
    """What the gate says."""
    gate = ExpectationsGate(world.database.url(ServiceRole.PUBLISHER), suites=suites)
    report = gate.judge(promotion_id=2, tenants=world.tenants(), models=())
    return {(check.boundary, check.rule): check.outcome for check in report.checks if check.boundary != "other_models"}


def of(*expectations: ExpectationFactory) -> tuple[Suite]:
    """A suite on the odd table, its rules named by their position."""
    rules = [
        Rule(name=f"{number}", severity="stop", why="Odd.", expectation=expectation)
        for number, expectation in enumerate(expectations)
    ]
    return (Suite(boundary="odd", table=ODD, rules=tuple(rules)),)


def test_every_rule_of_every_suite_is_judged_as_great_expectations_judges_it(world: World) -> None:
    world.land(TENANTS)
    world.build()
    for table in TABLES:
        world.spoil(f"create table clean_{table} as table candidate.{table}")
    columns = world.admin.execute(COLUMNS, (list(TABLES),)).fetchall()
    harms = [*built().values(), *(LOSE.format(table=table) for table in TABLES)]
    harms += [CHANGE.format(table=table, change=f"{column} = null") for table, column in columns]
    harms += [CHANGE.format(table=table, change=change) for table, change in ALSO_WRONG]
    random.Random(0).shuffle(harms)
    states: dict[tuple[str, str], set[str]] = {}

    for candidate in range(CANDIDATES):
        for table in TABLES:
            world.spoil(f"truncate candidate.{table}; insert into candidate.{table} table clean_{table}")
        # The first stays clean.
        for number, harm in enumerate(harms[candidate - 1 :: CANDIDATES - 1] if candidate else ()):
            world.spoil(harm, tenant=TENANTS[number % len(TENANTS)])
        ours = compiled(world, SUITES)
        assert ours == natively(world, SUITES)
        for rule, state in ours.items():
            states.setdefault(rule, set()).add(state)

    one_sided = {rule: seen for rule, seen in states.items() if seen != {"passed", "failed"}}
    assert {rule: seen for rule, seen in one_sided.items() if rule[1] not in ELSEWHERE} == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_expectation_is_judged_as_great_expectations_judges_it(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.land(["acme"])
    world.build()
    world.spoil(CREATE_ODD)
    insert = "insert into candidate.odd values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    for row in _odd_rows(chance):
        world.admin.execute(insert, row)
    suites = of(*_odd_expectations(chance))

    ours = compiled(world, suites)
    assert ours == natively(world, suites)
    assert set(ours.values()) == {"passed", "failed"}


def _odd_rows(chance: random.Random) -> Iterator[tuple[object, ...]]:
    """A few rows, so that rules pass as often as they fail; a and b and c are null together, or not at all."""
    for number in range(chance.randint(1, 6)):
        several = (None, None, None) if chance.random() < 0.2 else tuple(chance.randint(0, 2) for _ in range(3))
        yield (
            chance.choice(TENANTS[:3]),
            number if chance.random() < 0.9 else 0,
            *(chance.choice(values) for values in (NUMBERS, FLOATS, TEXTS, MOMENTS, DATES)),
            *several,
        )


def _odd_expectations(chance: random.Random) -> list[ExpectationFactory]:
    kinds = (_between, _lengths, _set, _regex, _null, _unique, _several, _query)
    drawn = [chance.choice(kinds)(chance) for _ in range(100)]
    # Of two that are equal, Great Expectations answers one.
    return list({repr(expectation(expectations)): expectation for expectation in drawn}.values())


def _bounds(chance: random.Random, values: Sequence[Any]) -> dict[str, Any]:
    """One bound or two, in order."""
    low, high = sorted(chance.choices([value for value in values if value is not None and value == value], k=2))
    bounds = {"min_value": low, "max_value": high, "strict_min": chance.random() < 0.5, "strict_max": True}
    if chance.random() < 0.5:
        del bounds[chance.choice(("min_value", "max_value"))]
    return bounds


def _between(chance: random.Random) -> ExpectationFactory:
    column, values = chance.choice([("n", NUMBERS), ("x", FLOATS), ("at", MOMENTS), ("d", DATES), ("x", NUMBERS)])
    bounds = _bounds(chance, values)
    return lambda gx: gx.ExpectColumnValuesToBeBetween(column=column, **bounds)


def _lengths(chance: random.Random) -> ExpectationFactory:
    if chance.random() < 0.3:
        value = chance.randint(0, 3)
        return lambda gx: gx.ExpectColumnValueLengthsToEqual(column="t", value=value)
    bounds = _bounds(chance, (0, 1, 2, 3))
    return lambda gx: gx.ExpectColumnValueLengthsToBeBetween(column="t", **bounds)


def _set(chance: random.Random) -> ExpectationFactory:
    column, values = chance.choice([("n", NUMBERS), ("t", TEXTS), ("d", DATES), ("x", (0.1, 0, 1e300))])
    chosen = [value for value in values if chance.random() < 0.7]
    if chance.random() < 0.5:
        return lambda gx: gx.ExpectColumnValuesToBeInSet(column=column, value_set=chosen)
    return lambda gx: gx.ExpectColumnValuesToNotBeInSet(column=column, value_set=chosen)


def _regex(chance: random.Random) -> ExpectationFactory:
    regex = chance.choice(REGEXES)
    if chance.random() < 0.5:
        return lambda gx: gx.ExpectColumnValuesToMatchRegex(column="t", regex=regex)
    return lambda gx: gx.ExpectColumnValuesToNotMatchRegex(column="t", regex=regex)


def _null(chance: random.Random) -> ExpectationFactory:
    column = chance.choice(("n", "x", "t", "a"))
    if chance.random() < 0.5:
        return lambda gx: gx.ExpectColumnValuesToBeNull(column=column)
    return lambda gx: gx.ExpectColumnValuesToNotBeNull(column=column)


def _unique(chance: random.Random) -> ExpectationFactory:
    column = chance.choice(("id", "n", "t", "d"))
    if chance.random() < 0.5:
        return lambda gx: gx.ExpectColumnValuesToBeUnique(column=column)
    columns = chance.choice((["a", "b"], ["a", "b", "c"], ["tenant_id", "id"]))
    return lambda gx: gx.ExpectCompoundColumnsToBeUnique(column_list=columns)


def _several(chance: random.Random) -> ExpectationFactory:
    first, second = chance.sample(("a", "b", "c"), k=2)
    or_equal = chance.choice((True, False, None))
    ignored = chance.choice(("both_values_are_missing", "either_value_is_missing"))
    return lambda gx: gx.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=first, column_B=second, or_equal=or_equal, ignore_row_if=ignored
    )


def _query(chance: random.Random) -> ExpectationFactory:
    condition = chance.choice(CONDITIONS)
    query = QUERY.format(condition=condition)
    return chance.choice(
        (
            no_rows_where(condition, show=["a", "upper(t) as t"]),
            no_rows(f"{query};"),
            lambda gx: gx.UnexpectedRowsExpectation(unexpected_rows_query=query),
            lambda gx: gx.ExpectOneRowPerKey(columns=["tenant_id", "id"]),
            lambda gx: gx.ExpectOneRowPerKey(columns=["tenant_id", "t"]),
            lambda gx: gx.ExpectNoRows(
                unexpected_rows_query="select tenant_id from of_odd where a = 0", shared={"of_odd": query}
            ),
        )
    )


@pytest.mark.parametrize(
    ("rows", "expectation"),
    [
        (
            [(None, 1), (2, None)],
            lambda gx: gx.ExpectColumnPairValuesAToBeGreaterThanB(column_A="a", column_B="b"),
        ),
        (
            [(1, None), (1, None)],
            lambda gx: gx.ExpectCompoundColumnsToBeUnique(column_list=["a", "b"]),
        ),
    ],
)
def test_a_row_with_one_null_among_several_columns_fails_where_great_expectations_on_sql_lets_it_pass(
    world: World, rows: Sequence[tuple[object, ...]], expectation: ExpectationFactory
) -> None:
    world.land(["acme"])
    world.build()
    world.spoil(CREATE_ODD)
    for row in rows:
        world.admin.execute("insert into candidate.odd (tenant_id, a, b) values ('acme', %s, %s)", row)
    assert natively(world, of(expectation)) == {("odd", "0"): "passed"}
    assert compiled(world, of(expectation)) == {("odd", "0"): "failed"}


@pytest.mark.parametrize(
    "expectation",
    [
        lambda gx: gx.ExpectColumnValuesToBeBetween(column="t", min_value=1),
        lambda gx: gx.ExpectColumnValuesToBeBetween(column="n", min_value=2, max_value=1),
        lambda gx: gx.ExpectColumnValuesToBeBetween(column="lost", min_value=1),
        lambda gx: gx.ExpectColumnValuesToMatchRegex(column="t", regex="("),
        lambda gx: gx.ExpectColumnValuesToMatchRegex(column="n", regex="a"),
        lambda gx: gx.ExpectColumnValueLengthsToBeBetween(column="n", min_value=1),
        lambda gx: gx.ExpectColumnValuesToBeInSet(column="n", value_set=["many"]),
        lambda gx: gx.ExpectColumnValuesToNotBeNull(column="lost"),
        lambda gx: gx.ExpectColumnValuesToBeUnique(column="lost"),
        lambda gx: gx.ExpectColumnPairValuesAToBeGreaterThanB(column_A="a", column_B="t"),
        no_rows_where("lost", show=[]),
        no_rows("select tenant_id from {batch} where {lost}"),
        no_rows("no query"),
    ],
)
def test_what_great_expectations_cannot_judge_is_errored_by_the_gate_too(
    world: World, expectation: ExpectationFactory
) -> None:
    world.land(["acme"])
    world.build()
    world.spoil(CREATE_ODD)
    world.spoil("insert into candidate.odd (tenant_id, id, n, t, a) values ('acme', 1, 1, 'a', 1)")
    assert natively(world, of(expectation)) == {("odd", "0"): "errored"}
    assert compiled(world, of(expectation)) == {("odd", "0"): "errored"}
