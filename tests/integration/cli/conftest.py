"""The command line on a database of this test alone."""

from __future__ import annotations

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine

SECRET = "the command line's integration tests"


@pytest.fixture
def workbench(database: Database, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line, configured for the test's database."""
    home = str(tmp_path_factory.mktemp("home"))
    return CommandLine({"DATABASE_URL": database.admin_url, "WORKBENCH_SECRET": SECRET, "WORKBENCH_HOME": home})
