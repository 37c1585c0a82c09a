"""A property is read as PostgreSQL reads it."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tests.unit.workbench.analysis.explore_events import KEYS
from workbench.analysis.explore_properties import property_number, property_text


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ('"a"', "a", None),
        ('"12"', "12", None),
        (r'"q\"uo\u00e9\n"', 'q"uoé\n', None),
        ('""', "", None),
        ("1.10", "1.10", 1.1),
        ("-7", "-7", -7.0),
        ("10000000000000000000000", "10000000000000000000000", 1e22),
        ("123456789012345678", "123456789012345678", 123456789012345678.0),
        ("true", "true", None),
        ("null", None, None),
        ('{"b": 1.50, "c": [1, 2]}', '{"b": 1.50, "c": [1, 2]}', None),
        ("[]", "[]", None),
    ],
)
def test_each_kind_of_value(value: str, text: str | None, number: float | None) -> None:
    frame = pl.DataFrame({"properties": [f'{{"a": {value}, "z": 0}}', "{}", None]})
    assert frame.select(property_text("a")).to_series().to_list() == [text, None, None]
    assert frame.select(property_number("a")).to_series().to_list() == [number, None, None]


@pytest.mark.parametrize("key", KEYS)
def test_any_key_is_found_and_no_other(key: str) -> None:
    properties = json.dumps({name: name for name in KEYS})
    frame = pl.DataFrame({"properties": [properties, json.dumps({"": {key: 1}}) if key else "{}"]})
    assert frame.select(property_text(key)).to_series().to_list() == [key, None]
