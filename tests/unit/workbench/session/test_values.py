"""How values of Python are bound."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import polars as pl
import pytest

from workbench.session.errors import StatementFailed
from workbench.session.values import bound


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("a'; drop table x; --", "a'; drop table x; --"),
        (True, "true"),
        (7, "7"),
        (np.int64(7), "7"),
        (math.inf, "inf"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (timedelta(days=-1, seconds=3, microseconds=5), "-1 days 3 seconds 5 microseconds"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_a_value_is_the_text_that_postgresql_reads(value: object, text: str | None) -> None:
    assert bound([value], [None]).to_pylist() == [{"$1": text}]


@pytest.mark.parametrize("value", [["a", None], ("a", None), pl.Series(["a", None])])
def test_a_list_is_an_array_where_one_is_asked_for(value: object) -> None:
    assert bound([value], ["_text"]).to_pylist() == [{"$1": ["a", None]}]


def test_bytes_stay_bytes_and_anything_becomes_json_where_that_is_asked_for() -> None:
    assert bound([b"\0a", [1, "x"]], ["bytea", "jsonb"]).to_pylist() == [{"$1": b"\0a", "$2": '[1, "x"]'}]


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (object(), None, "object is no type"),
        ("a\0b", None, "zero character"),
        ("a", "_text", "a list is asked for, not str"),
        ([1], None, "list is no type"),
        ("\ud800", None, "surrogates"),
        (object(), "jsonb", "not JSON serializable"),
    ],
)
def test_what_cannot_be_bound_is_told_with_its_place(value: object, kind: str | None, reason: str) -> None:
    with pytest.raises(StatementFailed, match=rf"\$2 cannot be bound: .*{reason}"):
        bound([1, value], [None, kind])
