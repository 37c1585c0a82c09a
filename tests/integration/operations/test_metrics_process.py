"""`workbench metrics`: printed once, and served by a process that does nothing else."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.command_line import CommandLine
from tests.integration.operations.processes import running


def test_the_metrics_of_promotions_are_printed(logged: dict[str, str | None]) -> None:
    printed = CommandLine(logged).run("metrics").stdout
    assert "workbench_promotions_up 1.0\n" in printed
    assert 'workbench_pending_events{held="false"} 0.0\n' in printed
    assert printed.endswith("\n")


def test_they_are_served_until_the_process_is_told_to_end(logged: dict[str, str | None], tmp_path: Path) -> None:
    with running(logged, tmp_path / "metrics.log", "metrics", "--serve", "--port", "0") as process:
        address = process.until_it_says("metrics at")["message"].removeprefix("metrics at ")
        assert "workbench_promotions_up 1.0\n" in httpx.get(address).text
        process.end()
        assert {line["process"] for line in process.lines()} == {"metrics"}


def test_serving_needs_a_port(logged: dict[str, str | None]) -> None:
    assert "WORKBENCH_SCHEDULE_METRICS_PORT" in CommandLine(logged).run("metrics", "--serve", exits=2).stderr
