"""What is printed is harmless to a terminal and exact in JSON."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest

from pipeline.core.errors import TenantError
from workbench.cli.output import print_error, print_json, print_rows, text

Captured = pytest.CaptureFixture[str]


def test_control_characters_and_markup_from_tenants_are_shown_not_obeyed(capsys: Captured) -> None:
    print_rows([{"name": "\x1b[31mred\x9b0m", "markup": "[bold]x[/] \\[y]"}])
    printed = capsys.readouterr().out
    assert r"\x1b[31mred\x9b0m" in printed
    assert r"[bold]x[/] \[y]" in printed


def test_an_error_goes_to_standard_error_whatever_is_in_it(capsys: Captured) -> None:
    print_error(TenantError("No tenant '[/red]\x07'.", remedy="Add it."))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [r"Error: No tenant '[/red]\x07'.", "Remedy: Add it."]


def test_json_keeps_numbers_as_they_are_and_long_lines_whole(capsys: Captured) -> None:
    print_json({"sum": msgspec.Raw(b"12345678901234567890.10"), "text": "x" * 500 + "\x9b[1m", "none": None})
    printed = capsys.readouterr().out
    assert "12345678901234567890.10" in printed
    assert "\x9b" not in printed
    assert json.loads(printed, parse_float=Decimal)["text"] == "x" * 500 + "\x9b[1m"


def test_a_table_is_not_folded_where_there_is_no_terminal(capsys: Captured) -> None:
    print_rows([{"tenant": "acme", "why": "x" * 100, "rows": 1_234_567}])
    assert "x" * 100 + " │ 1,234,567" in capsys.readouterr().out


def test_values_are_written_for_people() -> None:
    assert [text(value) for value in (None, True, 1234567, ["a", "b"], 1.5)] == ["", "yes", "1,234,567", "a, b", "1.5"]
