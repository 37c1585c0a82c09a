"""What stands in `properties`, read from its JSON text exactly as PostgreSQL reads it.

Polars' own JSON paths pass numbers through a float and miss some keys; here a value's text is cut out as it
stands, which is what `properties ->> key` answers, and any key is found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl

COLUMN = "properties"
NUMBER_BEGINS = b"-0123456789"

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)


def property_text(key: str) -> pl.Expr:
    """A property as text, of a frame with `properties` (JSON text): null where it is missing or null.

    Strings are told as they are, everything else in JSON: `true`, `12.50`, `{"a": 1}`.
    """
    return _each(key, text_of, pl.String)


def property_number(key: str) -> pl.Expr:
    """A property as a 64-bit float: null where it is missing or anything but a JSON number."""
    return _each(key, number_of, pl.Float64)


def raw_values(properties: str | bytes) -> dict[str, bytes]:
    """Each property's JSON text."""
    return {key: bytes(value) for key, value in _object.decode(properties).items()}


def text_of(value: bytes) -> str | None:
    """A value's text, of its JSON text."""
    if value[:1] == b'"':
        return _string.decode(value) if b"\\" in value else value[1:-1].decode()
    return None if value == b"null" else value.decode()


def number_of(value: bytes) -> float | None:
    """A value as a float, of its JSON text; None unless it is a number."""
    return float(value) if value[:1] in NUMBER_BEGINS and value else None


def _each(key: str, read: Callable[[bytes], Any], dtype: type[pl.DataType]) -> pl.Expr:
    def values(column: pl.Series) -> pl.Series:
        found = [None if text is None else _object.decode(text).get(key) for text in column]
        return pl.Series(column.name, [None if raw is None else read(bytes(raw)) for raw in found], dtype=dtype)

    return pl.col(COLUMN).map_batches(values, return_dtype=dtype, is_elementwise=True)
