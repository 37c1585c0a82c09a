"""What rules are compiled to, read without a database."""

from __future__ import annotations

import pytest

from checks.gate import ExpectationsGate
from checks.one_pass.compiled import compile_suites
from checks.rules import ExpectationFactory, Rule, Severity, Suite, Table, no_rows, no_rows_where
from checks.suites import SUITES

PARTS = Table(name="parts", key=("tenant_id", "part_id"))


def suite(*expectations: ExpectationFactory, severity: Severity = "stop", why: str = "It hurts.") -> Suite:
    """A suite on parts, its rules named by their position."""
    rules = tuple(
        Rule(name=f"{number}", severity=severity, why=why, expectation=expectation)
        for number, expectation in enumerate(expectations)
    )
    return Suite(boundary="stock", table=PARTS, rules=rules)


def _above_one() -> object:
    from great_expectations.expectations.row_conditions import Column

    return Column("made") > 1


def fingerprint(*suites: Suite) -> str:
    """Of a gate with these suites."""
    return ExpectationsGate("", suites=suites).fingerprint


def test_all_rules_on_rows_and_the_key_of_a_table_are_one_scan() -> None:
    compiled = compile_suites(
        [
            suite(
                lambda gx: gx.ExpectColumnValuesToBeBetween(column="price", min_value=0, strict_min=True),
                lambda gx: gx.ExpectOneRowPerKey(columns=["tenant_id", "part_id"]),
                no_rows_where("(made <= sold) is not true", show=["made", "sold"]),
            )
        ]
    )
    (scan,) = compiled.scans
    assert " ".join(scan.statement.split()) == (
        "select tenant_id, sum(all_rows)::bigint, sum(failing_0)::bigint, count(*) filter (where all_rows > 1),"
        " sum(failing_2)::bigint"
        " from ( select tenant_id, part_id, count(*) as all_rows,"
        ' count(*) filter (where "price" is not null and ("price" <= 0.0)) as failing_0,'
        " count(*) filter (where (made <= sold) is not true) as failing_2"
        " from parts group by tenant_id, part_id ) as by_key group by tenant_id"
    )
    assert [judged.failing for judged in scan.rules] == [
        'select tenant_id, part_id, "price" from parts where "price" is not null and ("price" <= 0.0)',
        "select tenant_id, part_id, count(*) as times from parts group by tenant_id, part_id having count(*) > 1",
        "select tenant_id, part_id, made, sold from parts where (made <= sold) is not true",
    ]
    assert (compiled.queries, compiled.together, compiled.native) == ((), (), ())


def test_every_rule_of_the_suites_is_compiled_and_no_table_is_scanned_twice_for_its_rows() -> None:
    compiled = compile_suites(SUITES)
    assert [scan.suite.table.name for scan in compiled.scans] == [suite.table.name for suite in SUITES]
    assert (compiled.native, compiled.broken) == ((), ())
    # Those that add up share their scans of the facts, and so do those that look at a tenant's past.
    adding_up = [judged.rule.name for together in compiled.together for judged in together.rules]
    assert len([name for name in adding_up if name.endswith("_adds_up")]) == len(SUITES) - 1
    assert len(compiled.together) == 3


@pytest.mark.parametrize(
    "expectation",
    [
        lambda gx: gx.ExpectColumnValuesToNotBeNull(column="price", mostly=0.9),
        lambda gx: gx.ExpectColumnValuesToNotBeNull(column="price", row_condition=_above_one()),
        lambda gx: gx.ExpectColumnValuesToBeBetween(column="price", min_value={"$PARAMETER": "least"}),
        lambda gx: gx.ExpectColumnValuesToBeBetween(column="price", min_value=2, max_value=1),
    ],
)
def test_what_would_need_an_interpretation_is_left_to_great_expectations(expectation: ExpectationFactory) -> None:
    compiled = compile_suites([suite(expectation)])
    assert [[rule.name for rule in left.rules] for left in compiled.native] == [["0"]]
    assert [scan.rules for scan in compiled.scans] == [()]


def test_a_rule_without_an_expectation_is_told_and_ends_nothing() -> None:
    compiled = compile_suites([suite(lambda gx: gx.ExpectNothing(), no_rows("select {batch} from {no_such}"))])
    assert [broken.rule.name for broken in compiled.broken] == ["0", "1"]
    assert "ExpectNothing" in compiled.broken[0].reason


def test_the_fingerprint_follows_thresholds_queries_and_severities_and_not_the_wording() -> None:
    def at_least(least: float, mostly: float = 1.0) -> ExpectationFactory:
        return lambda gx: gx.ExpectColumnValuesToBeBetween(column="price", min_value=least, mostly=mostly)

    first = suite(at_least(0))
    assert fingerprint(first) == fingerprint(suite(at_least(0), why="It hurts a lot."))
    others = [
        suite(at_least(1)),
        suite(at_least(0), severity="warn"),
        suite(at_least(0), at_least(0)),
        suite(at_least(0, mostly=0.9)),
        suite(at_least(0, mostly=0.8)),
        suite(no_rows("select tenant_id from {batch}")),
        suite(no_rows("select tenant_id from {batch} where true")),
    ]
    assert len({fingerprint(first), *map(fingerprint, others)}) == 1 + len(others)
