"""A database that the tests of promotions share: parsing the models once is most of their time."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from psycopg import sql

from pipeline.core import deployment
from pipeline.core.database import Database, connect, with_database
from tests.conftest import drop_database
from tests.integration.promote.world import World, copy_models


@pytest.fixture(scope="package")
def shared_world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A deployed database with a promoter of three of its marts."""
    name = f"workbench_{secrets.token_hex(6)}"
    with connect(with_database(cluster, "postgres"), autocommit=True, application="tests") as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    database = Database(admin_url=with_database(cluster, name))
    with database.connect_admin() as connection:
        connection.execute(deployment.database_grants())
    yield World(database=database, dbt_dir=copy_models(tmp_path_factory.mktemp("models")))
    drop_database(cluster, name)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared world, with a gate that passes everybody unless the test scripts it."""
    yield shared_world
    shared_world.gate.states.clear()
    shared_world.gate.rule = "clock_ahead"
    shared_world.gate.while_judging = lambda: None
