"""A stack counts as running only while it holds its lock."""

from __future__ import annotations

import fcntl
from pathlib import Path

from workbench.cli.running import LOCK_FILE, STATE_FILE, find_stack

STATE = b'{"pid": 42, "url": "http://127.0.0.1:8000", "started_at": "2026-03-02T10:30:00Z"}'


def test_no_stack_was_ever_started(tmp_path: Path) -> None:
    assert find_stack(tmp_path / "nowhere") is None


def test_the_state_file_of_a_killed_stack_does_not_count(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).touch()
    (tmp_path / STATE_FILE).write_bytes(STATE)
    assert find_stack(tmp_path) is None


def test_a_stack_that_holds_its_lock_is_found(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes(STATE)
    with (tmp_path / LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_stack(tmp_path)
        assert found is not None
        assert found.url == "http://127.0.0.1:8000"
        (tmp_path / STATE_FILE).write_bytes(b"{half")
        assert find_stack(tmp_path) is None
