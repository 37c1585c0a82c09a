"""A database that the tests of promotions share: parsing the models once is most of their time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.core.database import Database
from tests.conftest import DBT_DIR, deployed
from tests.integration.promote.estate import Compiled, Estate, compile_models
from tests.integration.promote.world import ScriptedGate, World


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where pytest is pointed at this folder; elsewhere the short form runs, with another seed each time."""
    parser.addoption("--walk-steps", type=int, default=None, help="How many steps each random walk takes.")
    parser.addoption("--walk-seed", type=int, default=None, help="Repeats a random walk.")


@pytest.fixture(scope="package")
def shared_world(cluster: str, template: str, compiled: Compiled) -> Iterator[World]:
    """A deployed database whose promoters run what dbt compiled, without dbt."""
    with deployed(cluster, template) as database:
        yield World(database=database, dbt_dir=DBT_DIR, new_builder=lambda: compiled.builder(database))


@pytest.fixture(scope="package")
def compiled(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """All models as dbt ran them: it runs once."""
    with deployed(cluster, template) as database:
        return compile_models(database, tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def estate(database: Database, compiled: Compiled) -> Estate:
    """A database of this test alone with all marts, and a quick promotion."""
    return Estate(database=database, compiled=compiled, gate=ScriptedGate())


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared world, with a gate that passes everybody unless the test scripts it."""
    yield shared_world
    shared_world.gate.states.clear()
    shared_world.gate.rule = "clock_ahead"
    shared_world.gate.while_judging = lambda: None
