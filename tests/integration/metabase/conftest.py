"""A Metabase of this test alone, and the command line that is configured for it and the test's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.fakes.metabase import FakeMetabase, running_metabase
from tests.integration.metabase.viewer import Viewer
from tests.integration.metabase.world import Provisioned, environment
from tests.showcase import Showcase


@pytest.fixture
def metabase() -> Iterator[FakeMetabase]:
    """A new Metabase, which nobody has set up."""
    with running_metabase() as fake:
        yield fake


@pytest.fixture
def workbench(database: Database, metabase: FakeMetabase, tmp_path: Path) -> CommandLine:
    """The command line, configured for both."""
    return CommandLine(environment(database, metabase, tmp_path))


@pytest.fixture
def provisioned(database: Database, metabase: FakeMetabase) -> Provisioned:
    """The same Metabase with the dashboards that are shipped."""
    provisioned = Provisioned(database, metabase)
    provisioned.apply()
    return provisioned


@pytest.fixture(scope="module")
def world(showcase: Showcase) -> Iterator[Provisioned]:
    """The shipped dashboards over the real data; the database is not told, since other tests share it."""
    with running_metabase() as fake:
        provisioned = Provisioned(showcase.database, fake)
        provisioned.provision()
        yield provisioned


@pytest.fixture(scope="module")
def viewer(world: Provisioned) -> Iterator[Viewer]:
    """A browser at it."""
    viewer = Viewer(world.metabase)
    yield viewer
    viewer.close()
