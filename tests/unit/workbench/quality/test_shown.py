"""Values that tenants sent, made harmless and short."""

from __future__ import annotations

import pytest

from workbench.quality.shown import LONGEST, cell, duration, harmless


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\x00b", "a\\x00b"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egnp", "\\u202egnp"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("שלום, مرحبا, Grüße, 你好", "שלום, مرحبا, Grüße, 你好"),
    ],
)
def test_characters_that_deceive_are_spelled_out_and_languages_are_not(sent: str, shown: str) -> None:
    assert harmless(sent) == shown
    assert cell(sent).text == shown


def test_a_long_value_is_cut_and_its_length_told() -> None:
    cut = cell("x" * 8192)
    assert (cut.text, cut.length) == ("x" * LONGEST, 8192)
    assert cell("x" * LONGEST).length is None


def test_values_are_shown_as_what_they_are() -> None:
    assert [cell(value).text for value in (None, True, 1234567, 0.5, {"a": [1]})] == [
        "null", "true", "1,234,567", "0.5", '{"a":[1]}',
    ]  # fmt: skip
    assert cell(3).is_number
    assert not cell(True).is_number
    assert not cell("3").is_number


def test_how_long_something_took_is_told_in_a_fitting_unit() -> None:
    assert [duration(seconds) for seconds in (0.04, 3.21, 125.9)] == ["0.0 s", "3.2 s", "2 min 5 s"]
