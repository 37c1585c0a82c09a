"""The process that decides: what it is told, and how its end is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.unit.workbench.stewards.holds import STEWARD, request
from workbench.cli.actor import acting_for, actor
from workbench.stewards.process import Process, read_answer

PUBLISHED = {"id": 13, "promoted": {"globex": 5}, "held": {}}


def program(folder: Path, body: str) -> tuple[str, ...]:
    """A stand-in for the command line."""
    file = folder / "program.py"
    file.write_text(f"import json, os, sys\nasked = json.load(sys.stdin)\n{body}\n")
    return sys.executable, str(file)


def test_it_is_told_everything_on_its_standard_input_and_nothing_as_a_word(tmp_path: Path) -> None:
    body = f"""
json.dump([asked, sys.argv[1:], dict(os.environ)], open({str(tmp_path / "heard")!r}, "w"))
print("Publishing", file=sys.stderr, flush=True)
print(json.dumps({PUBLISHED!r} | {{"padding": "x" * 1_000_000}}))
"""
    steps: list[str] = []
    carry_out = Process({"DATABASE_URL": "d"}, program=program(tmp_path, body))
    ended = carry_out(request(), STEWARD, steps.append)
    assert (ended.ended, ended.told, steps) == ("done", "5 events of globex published by promotion 13.", ["Publishing"])
    asked, words, environment = json.loads((tmp_path / "heard").read_text())
    assert words == []
    assert asked["actor"] == STEWARD
    assert (asked["request"]["tenant_id"], asked["request"]["reason"]) == ("globex", "A trade fair.")
    assert environment["DATABASE_URL"] == "d"
    assert "HOME" not in environment


@pytest.mark.parametrize("code", [1, 75])
def test_an_error_is_a_refusal_with_its_remedy(tmp_path: Path, code: int) -> None:
    body = f'print("Looking\\nError: globex is not held.\\nRemedy: Look again.", file=sys.stderr)\nsys.exit({code})'
    steps: list[str] = []
    ended = Process({}, program=program(tmp_path, body))(request(), STEWARD, steps.append)
    assert (ended.ended, ended.told, ended.remedy) == ("refused", "globex is not held.", "Look again.")
    assert steps == ["Looking"]


@pytest.mark.parametrize("code", [1, 2, -9])
def test_what_ends_without_an_error_that_is_known_has_broken_off(code: int, caplog: pytest.LogCaptureFixture) -> None:
    ended = read_answer(request(), code, b"", ["Traceback (most recent call last):", "KeyError: 'x'"])
    assert (ended.ended, "list of holds tells" in ended.told) == ("broken", True)
    assert "KeyError" not in f"{ended.told}{ended.remedy}"
    assert "KeyError: 'x'" in caplog.text


def test_within_it_commands_act_for_the_person_and_only_within() -> None:
    account = actor()
    with acting_for(STEWARD):
        assert actor() == STEWARD
    assert actor() == account != STEWARD
