"""The namespace of expectations that rules are made from: Great Expectations' own, and three of ours.

Importing it imports Great Expectations, which takes seconds: import it late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from great_expectations.expectations import (
    ExpectColumnPairValuesAToBeGreaterThanB,
    ExpectColumnValueLengthsToBeBetween,
    ExpectColumnValueLengthsToEqual,
    ExpectColumnValuesToBeBetween,
    ExpectColumnValuesToBeInSet,
    ExpectColumnValuesToBeNull,
    ExpectColumnValuesToBeUnique,
    ExpectColumnValuesToMatchRegex,
    ExpectColumnValuesToNotBeInSet,
    ExpectColumnValuesToNotBeNull,
    ExpectColumnValuesToNotMatchRegex,
    ExpectCompoundColumnsToBeUnique,
    UnexpectedRowsExpectation,
)

__all__ = [
    "ExpectColumnPairValuesAToBeGreaterThanB",
    "ExpectColumnValueLengthsToBeBetween",
    "ExpectColumnValueLengthsToEqual",
    "ExpectColumnValuesToBeBetween",
    "ExpectColumnValuesToBeInSet",
    "ExpectColumnValuesToBeNull",
    "ExpectColumnValuesToBeUnique",
    "ExpectColumnValuesToMatchRegex",
    "ExpectColumnValuesToNotBeInSet",
    "ExpectColumnValuesToNotBeNull",
    "ExpectColumnValuesToNotMatchRegex",
    "ExpectCompoundColumnsToBeUnique",
    "ExpectNoRows",
    "ExpectNoRowsWhere",
    "ExpectOneRowPerKey",
    "UnexpectedRowsExpectation",
]

ROW_COUNT = "unexpected_rows_query.row_count"

FAILING = "select {columns} from {{batch}} where {condition}"

# The native expectation counts rightly, but the query that it answers for the rows is a cross join.
REPEATED = "select {key}, count(*) as times from {{batch}} group by {key} having count(*) > 1"


class ExpectNoRows(UnexpectedRowsExpectation):  # type: ignore[misc]
    """The same judgement as UnexpectedRowsExpectation, from the count of rows alone.

    The original runs its query a second time to fetch all rows, and shows 200 of them. What fails,
    and for whom, is asked by `checks.failing`, grouped by tenant and without a cap.

    `shared` are queries by name that this one reads as if they were tables. Rules with the same ones
    are judged by one statement, which runs each of them once.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = (ROW_COUNT,)

    own_query: str
    shared: dict[str, str]

    def __init__(self, *, shared: Mapping[str, str] | None = None, **others: Any) -> None:
        # Great Expectations makes copies from all fields, of which the whole query follows from the others.
        whole = others.pop("unexpected_rows_query", None)
        own = others.pop("own_query", whole)
        named = ", ".join(f"{name} as ({query})" for name, query in (shared or {}).items())
        others["unexpected_rows_query"] = f"with {named} {own}" if named else own
        super().__init__(own_query=own, shared=dict(shared or {}), **others)

    def _validate(self, metrics: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        count = metrics[ROW_COUNT]
        return {"success": count == 0, "result": {"observed_value": count}}


class ExpectNoRowsWhere(ExpectNoRows):
    """ExpectNoRows for a condition on the row alone, which it carries, so that many are judged in one pass.

    `condition` is met by a failing row; `show` are the expressions that its sample has after the key.
    """

    condition: str
    show: list[str]

    def __init__(self, *, condition: str, show: Sequence[str], **others: Any) -> None:
        others["own_query"] = FAILING.format(columns=", ".join(["tenant_id", *show]), condition=condition)
        super().__init__(condition=condition, show=list(show), **others)


class ExpectOneRowPerKey(ExpectNoRows):
    """No two rows share the values of `columns`, of which the first is tenant_id; nulls are equal to each other."""

    columns: list[str]

    def __init__(self, *, columns: Sequence[str], **others: Any) -> None:
        others["own_query"] = REPEATED.format(key=", ".join(columns))
        super().__init__(columns=list(columns), **others)
