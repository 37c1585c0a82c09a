"""One stack holds a folder at a time, and what a killed one left behind is in nobody's way."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.core.errors import StackRunning
from workbench.cli.hold import hold_stack
from workbench.cli.running import STATE_FILE, RunningStack, find_stack

STACK = RunningStack(pid=42, url="http://127.0.0.1:8000", started_at=datetime(2026, 3, 2, tzinfo=UTC))


def refusal(home: Path) -> str:
    with pytest.raises(StackRunning) as told, hold_stack(home):
        pass
    return told.value.message


def test_a_published_stack_is_found_until_its_end(tmp_path: Path) -> None:
    with hold_stack(tmp_path) as hold:
        assert find_stack(tmp_path) is None
        hold.publish(STACK)
        assert find_stack(tmp_path) == STACK
    assert find_stack(tmp_path) is None
    assert not (tmp_path / STATE_FILE).exists()


def test_a_second_hold_is_refused_with_pid_and_address(tmp_path: Path) -> None:
    with hold_stack(tmp_path) as hold:
        assert f"process {os.getpid()}, and is just starting" in refusal(tmp_path)
        hold.publish(STACK)
        assert f"process {os.getpid()}, at {STACK.url}" in refusal(tmp_path)
        assert find_stack(tmp_path) == STACK, "the refused one has changed nothing"


def test_the_files_of_a_killed_stack_do_not_tell_of_the_next_one(tmp_path: Path) -> None:
    with hold_stack(tmp_path) as hold:
        hold.publish(STACK)
        left_behind = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(left_behind)
    with hold_stack(tmp_path):
        assert find_stack(tmp_path) is None
