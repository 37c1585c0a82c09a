"""The embedded stack as processes: one per folder, alive through kill -9 of any part, gone after Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.stack_process import StackProcess, eventually, have_ended
from workbench.cli.running import find_stack


@pytest.fixture(scope="module")
def kept_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    stack = StackProcess(tmp_path_factory.mktemp("home"))
    yield stack
    stack.end()


@pytest.fixture
def stack(kept_stack: StackProcess) -> StackProcess:
    kept_stack.ensure_started()
    return kept_stack


def test_a_second_stack_on_the_same_folder_names_the_first_and_leaves(stack: StackProcess) -> None:
    told = stack.refused_up(port=0)
    assert f"process {stack.pid}" in told
    assert stack.url in told
    assert stack.is_ready()


def test_a_killed_api_is_back_at_the_same_address(stack: StackProcess) -> None:
    killed = stack.child("serve")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: stack.child("serve") not in (None, killed), "another API process")
    eventually(stack.is_ready, "the API")


def test_a_killed_database_is_back_with_what_was_acknowledged(stack: StackProcess, tmp_path: Path) -> None:
    export = tmp_path / "export.ndjson"
    event = {"tenant_id": "acme", "event_type": "page_view"}
    lines = [json.dumps(event | {"event_id": str(uuid.uuid4())}) for _ in range(50)]
    export.write_text("\n".join(lines))
    assert stack.workbench.json("import", str(export), "--create-tenants")["total"]["accepted"] == 50

    killed = stack.database()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: stack.database() not in (None, killed), "another database server")
    eventually(stack.is_ready, "the API")
    assert stack.workbench.json("import", str(export))["total"]["duplicate"] == 50


def test_a_killed_supervisor_takes_everything_along_and_the_next_stack_recovers(stack: StackProcess) -> None:
    processes = stack.processes()
    assert len(processes) == 4
    stack.kill()
    eventually(lambda: have_ended(processes), "the end of all processes")

    stack.ensure_started()
    assert stack.is_ready()
    found = find_stack(stack.home)
    assert found is not None
    assert found.pid == stack.pid


def test_ctrl_c_ends_every_process(stack: StackProcess) -> None:
    processes = stack.processes()
    assert len(processes) == 4
    assert stack.interrupt() == 0
    assert have_ended(processes)
    assert find_stack(stack.home) is None


def test_a_port_in_use_is_told_with_a_remedy_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = StackProcess(tmp_path).refused_up(port=port)
    assert f"Port {port}" in told
    assert "--port" in told
    assert not (tmp_path / "postgres").exists()
