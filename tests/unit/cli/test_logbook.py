"""The logs of the stack: a file for each process, of text or of objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.cli.logbook import Logbook


def test_text_is_kept_with_its_time(tmp_path: Path) -> None:
    logbook = Logbook(tmp_path, aloud=False)
    logbook("api", "listening")
    logbook.close()
    day, _, rest = (tmp_path / "api.log").read_text().partition(" ")
    assert day.count("-") == 2
    assert rest.endswith(" listening\n")


def test_where_lines_are_json_every_line_of_every_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logbook = Logbook(tmp_path, aloud=True, line_format="json")
    logbook("api", '{"message": "listening", "process": "api"}')
    logbook("database", "LOG:  100% [ready]")
    logbook.close()
    files = [json.loads((tmp_path / f"{name}.log").read_text()) for name in ("api", "database")]
    assert [(each["process"], each["message"]) for each in files] == [
        ("api", "listening"),
        ("database", "LOG:  100% [ready]"),
    ]
    assert [json.loads(line) for line in capsys.readouterr().err.splitlines()] == files
