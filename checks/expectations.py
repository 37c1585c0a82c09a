"""The namespace of expectations that rules are made from: Great Expectations' own, and one of ours.

Importing it imports Great Expectations, which takes seconds: import it late.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.expectations import (
    ExpectColumnValueLengthsToBeBetween,
    ExpectColumnValuesToBeBetween,
    ExpectColumnValuesToBeInSet,
    ExpectColumnValuesToMatchRegex,
    UnexpectedRowsExpectation,
)

__all__ = [
    "ExpectColumnValueLengthsToBeBetween",
    "ExpectColumnValuesToBeBetween",
    "ExpectColumnValuesToBeInSet",
    "ExpectColumnValuesToMatchRegex",
    "ExpectNoRows",
]

ROW_COUNT = "unexpected_rows_query.row_count"


class ExpectNoRows(UnexpectedRowsExpectation):  # type: ignore[misc]
    """The same judgement as UnexpectedRowsExpectation, from the count of rows alone.

    The original runs its query a second time to fetch all rows, and shows 200 of them. What fails,
    and for whom, is asked by `checks.failing`, grouped by tenant and without a cap.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = (ROW_COUNT,)

    def _validate(self, metrics: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        count = metrics[ROW_COUNT]
        return {"success": count == 0, "result": {"observed_value": count}}
