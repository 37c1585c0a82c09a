"""A database with promotions on record, and the command line on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment

SEED = Path(__file__).with_name("seed.sql")


@pytest.fixture
def seeded(database: Database) -> Database:
    """The test's database, with what `seed.sql` tells."""
    with database.connect_admin() as connection:
        connection.execute(SEED.read_text())
    return database


@pytest.fixture
def workbench(seeded: Database, tmp_path: Path) -> CommandLine:
    """The command line on the seeded database."""
    return CommandLine(environment(seeded, tmp_path / "home"))
