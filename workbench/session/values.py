"""Values of Python as PostgreSQL reads them: bound as text, and cast by the server to the type it expects.

The server says which type each place in a statement wants, so a text is welcome where a uuid, a date
or jsonb is asked for, as with any driver of PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa

from workbench.session.errors import StatementFailed

JSON = frozenset({"json", "jsonb"})


def bound(values: Sequence[object], types: Sequence[str | None]) -> pa.RecordBatch:
    """One row with a column for each value: text, an array of texts, or bytes. Raises StatementFailed.

    `types` are the names of PostgreSQL's types, None where it has none of its own.
    """
    columns = [_column(number, value, kind) for number, (value, kind) in enumerate(zip(values, types, strict=True))]
    return pa.record_batch(columns, names=[f"${number}" for number in range(1, len(values) + 1)])


def _column(number: int, value: object, kind: str | None) -> pa.Array:
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return pa.array([bytes(value)], pa.binary())
        if kind is not None and kind.startswith("_"):
            texts = None if value is None else [_text(each) for each in _listed(value)]
            return pa.array([texts], pa.list_(pa.string()))
        if kind in JSON and value is not None and not isinstance(value, str):
            return pa.array([json.dumps(value)], pa.string())
        return pa.array([_text(value)], pa.string())
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise StatementFailed(f"The value of ${number + 1} cannot be bound: {error}.") from error


def _listed(value: object) -> Sequence[object]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if hasattr(value, "to_list"):  # a Series of Polars
        return list(value.to_list())
    raise TypeError(f"a list is asked for, not {type(value).__name__}")


def _text(value: object) -> str | None:
    """As PostgreSQL's input functions read it; None is null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal | UUID):
        return _without_zero(str(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, Mapping):
        return _without_zero(json.dumps(value))
    if hasattr(value, "item"):  # a number of NumPy
        return _text(value.item())
    raise TypeError(f"{type(value).__name__} is no type that PostgreSQL knows")


def _without_zero(text: str) -> str:
    if "\0" in text:
        raise ValueError("PostgreSQL has no zero character in a text")
    return text
