"""A database, a home folder, and a collector of traces for processes of the workbench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.integration.cli.conftest import environment
from tests.integration.operations.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of this test alone."""
    with collecting() as collector:
        yield collector


@pytest.fixture
def logged(database: Database, tmp_path: Path) -> dict[str, str | None]:
    """Settings of processes on the test's database, whose logs are JSON."""
    return environment(database, tmp_path / "home") | {"WORKBENCH_LOG_FORMAT": "json", "WORKBENCH_LOG_LEVEL": "debug"}


@pytest.fixture
def traced(logged: dict[str, str | None], collector: Collector) -> dict[str, str | None]:
    """The same, and they send traces, soon after each span."""
    return logged | {"WORKBENCH_TRACES_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
