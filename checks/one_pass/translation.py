"""From an expectation of Great Expectations to SQL that finds the same rows failing.

What is not known here, or is used in a way that is not, stays with Great Expectations: a `mostly`, a
`row_condition`, a parameter that is a reference. Importing this imports Great Expectations.

One difference is on purpose. Where an expectation concerns several columns, Great Expectations on SQL
lets a row pass for one null among them, and fails it on data frames. Here it fails: nothing is known
of such a row, and the gate does not promote what it does not know. A row in which all of them are
null is left out in both, unless `ignore_row_if` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from checks import expectations as gx
from checks.rules import Table

REPEATED = """
select {shown}, times
from (select {shown}, count(*) over (partition by {alike}) as times from {table} where {judged}) as counted
where times > 1
"""

NUMBERS_AND_TIMES = (int, float, Decimal, date, datetime)


@dataclass(frozen=True, kw_only=True)
class RowCondition:
    """A condition that exactly the failing rows meet, and what a sample shows of them after the key."""

    condition: str
    show: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OneRowPerKey:
    """Failing are the keys of the table that more than one row has; `query` finds them."""

    query: str


@dataclass(frozen=True, kw_only=True)
class FailingRowsQuery:
    """A query of failing rows, tenant_id first, that reads `shared` queries by their names."""

    query: str
    shared: Mapping[str, str] = field(default_factory=dict)


Translation = RowCondition | OneRowPerKey | FailingRowsQuery


def translate(expectation: Any, table: Table) -> Translation | None:
    """What finds the failing rows of an expectation on the table, or None for what stays untranslated."""
    translator = TRANSLATORS.get(type(expectation))
    if translator is None or not _is_plain(expectation):
        return None
    return translator(expectation, table)


def _is_plain(expectation: Any) -> bool:
    """Nothing is set that changes what an expectation means, and no parameter is given by reference."""
    return (
        getattr(expectation, "mostly", 1) == 1
        and getattr(expectation, "row_condition", None) is None
        and not expectation.windows
        and not any(isinstance(value, dict) and "$PARAMETER" in value for _, value in expectation)
    )


def _between(expectation: Any, _: Table) -> RowCondition | None:
    return _column_is_between(expectation, _name(expectation.column), NUMBERS_AND_TIMES)


def _lengths_between(expectation: Any, _: Table) -> RowCondition | None:
    return _column_is_between(expectation, f"length({_name(expectation.column)})", (int, float))


def _column_is_between(expectation: Any, value: str, kinds: tuple[type, ...]) -> RowCondition | None:
    least, most = expectation.min_value, expectation.max_value
    # Text is compared with text by some columns and refused for others, which Great Expectations sorts out.
    if not all(bound is None or (isinstance(bound, kinds) and not isinstance(bound, bool)) for bound in (least, most)):
        return None
    # So that it is Great Expectations that refuses what makes no sense.
    if (least is None and most is None) or (least is not None and most is not None and least > most):
        return None
    outside = []
    if least is not None:
        outside.append(f"{value} {'<=' if expectation.strict_min else '<'} {_literal(least)}")
    if most is not None:
        outside.append(f"{value} {'>=' if expectation.strict_max else '>'} {_literal(most)}")
    return _of_column(expectation, " or ".join(outside))


def _lengths_equal(expectation: Any, _: Table) -> RowCondition | None:
    if not isinstance(expectation.value, int | float):
        return None
    return _of_column(expectation, f"length({_name(expectation.column)}) <> {_literal(expectation.value)}")


def _null(expectation: Any, _: Table) -> RowCondition:
    return RowCondition(condition=f"{_name(expectation.column)} is not null", show=(_name(expectation.column),))


def _not_null(expectation: Any, _: Table) -> RowCondition:
    return RowCondition(condition=f"{_name(expectation.column)} is null", show=(_name(expectation.column),))


def _in_set(expectation: Any, _: Table) -> RowCondition | None:
    if not isinstance(expectation.value_set, list | tuple | set):
        return None
    if not (values := _literals(expectation.value_set)):
        return _of_column(expectation, "true")
    return _of_column(expectation, f"{_name(expectation.column)} not in ({values})")


def _not_in_set(expectation: Any, _: Table) -> RowCondition | None:
    if not isinstance(expectation.value_set, list | tuple | set):
        return None
    if not (values := _literals(expectation.value_set)):
        return _of_column(expectation, "false")
    return _of_column(expectation, f"{_name(expectation.column)} in ({values})")


def _matches(expectation: Any, _: Table) -> RowCondition:
    return _of_column(expectation, f"{_name(expectation.column)} !~ {_literal(expectation.regex)}")


def _does_not_match(expectation: Any, _: Table) -> RowCondition:
    return _of_column(expectation, f"{_name(expectation.column)} ~ {_literal(expectation.regex)}")


def _pair_greater(expectation: Any, _: Table) -> RowCondition | None:
    first, second = _name(expectation.column_A), _name(expectation.column_B)
    ignored = {
        "both_values_are_missing": f"num_nulls({first}, {second}) < 2",
        "either_value_is_missing": f"num_nulls({first}, {second}) = 0",
        "neither": "true",
    }
    judged = ignored.get(expectation.ignore_row_if)
    if judged is None:
        return None
    # Two nulls that are not left out are equal.
    greater = (
        f"{first} >= {second} or num_nulls({first}, {second}) = 2" if expectation.or_equal else f"{first} > {second}"
    )
    return RowCondition(condition=f"{judged} and ({greater}) is not true", show=(first, second))


def _column_unique(expectation: Any, table: Table) -> FailingRowsQuery:
    column = _name(expectation.column)
    return _repeated([column], f"{column} is not null", table)


def _compound_unique(expectation: Any, table: Table) -> FailingRowsQuery | None:
    columns = [_name(column) for column in expectation.column_list]
    nulls = f"num_nulls({', '.join(columns)})"
    ignored = {
        "all_values_are_missing": f"{nulls} < {len(columns)}",
        "any_value_is_missing": f"{nulls} = 0",
        "never": "true",
    }
    judged = ignored.get(expectation.ignore_row_if)
    return None if judged is None else _repeated(columns, judged, table)


def _repeated(columns: Sequence[str], judged: str, table: Table) -> FailingRowsQuery:
    """Each row that shares its values with another, of whichever tenant."""
    shown = ", ".join(dict.fromkeys([*(_name(column) for column in table.key), *columns]))
    alike = ", ".join(columns)
    return FailingRowsQuery(query=REPEATED.format(shown=shown, alike=alike, table=table.name, judged=judged))


def _no_rows(expectation: Any, table: Table) -> FailingRowsQuery:
    return FailingRowsQuery(
        query=_on(expectation.own_query, table),
        shared={name: _on(query, table) for name, query in expectation.shared.items()},
    )


def _unexpected_rows(expectation: Any, table: Table) -> FailingRowsQuery:
    return FailingRowsQuery(query=_on(expectation.unexpected_rows_query, table))


def _no_rows_where(expectation: Any, table: Table) -> RowCondition:
    return RowCondition(condition=_on(expectation.condition, table), show=tuple(expectation.show))


def _one_row_per_key(expectation: Any, table: Table) -> OneRowPerKey | FailingRowsQuery:
    if tuple(expectation.columns) == table.key:
        return OneRowPerKey(query=_on(expectation.own_query, table))
    return _no_rows(expectation, table)


def _of_column(expectation: Any, fails: str) -> RowCondition:
    """Nulls pass: Great Expectations leaves them to an expectation of their own."""
    column = _name(expectation.column)
    return RowCondition(condition=f"{column} is not null and ({fails})", show=(column,))


def _on(query: str, table: Table) -> str:
    """A query as Great Expectations would run it on the table. Raises KeyError or ValueError for other braces."""
    return query.strip("; \n").format(batch=table.name)


def _name(column: str) -> str:
    return sql.Identifier(column).as_string(None)


def _literals(values: Iterable[object]) -> str:
    """Without null, which is in no set."""
    return ", ".join(_literal(value) for value in values if value is not None)


def _literal(value: object) -> str:
    # Of no type of its own, as Great Expectations sends it: so it takes the column's.
    return sql.Literal(value).as_string(None)


TRANSLATORS: Mapping[type, Callable[[Any, Table], Translation | None]] = {
    gx.ExpectColumnPairValuesAToBeGreaterThanB: _pair_greater,
    gx.ExpectColumnValueLengthsToBeBetween: _lengths_between,
    gx.ExpectColumnValueLengthsToEqual: _lengths_equal,
    gx.ExpectColumnValuesToBeBetween: _between,
    gx.ExpectColumnValuesToBeInSet: _in_set,
    gx.ExpectColumnValuesToBeNull: _null,
    gx.ExpectColumnValuesToBeUnique: _column_unique,
    gx.ExpectColumnValuesToMatchRegex: _matches,
    gx.ExpectColumnValuesToNotBeInSet: _not_in_set,
    gx.ExpectColumnValuesToNotBeNull: _not_null,
    gx.ExpectColumnValuesToNotMatchRegex: _does_not_match,
    gx.ExpectCompoundColumnsToBeUnique: _compound_unique,
    gx.ExpectNoRows: _no_rows,
    gx.ExpectNoRowsWhere: _no_rows_where,
    gx.ExpectOneRowPerKey: _one_row_per_key,
    gx.UnexpectedRowsExpectation: _unexpected_rows,
}
