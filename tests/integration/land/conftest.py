"""Landers on the test's own database, and a look at what they left there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.land.landing import Lander

NewLander = Callable[[], Lander]


@pytest.fixture
def new_lander(database: Database) -> Iterator[NewLander]:
    """Opens landers and closes them in the end."""
    opened: list[Lander] = []

    def open_lander() -> Lander:
        opened.append(Lander(lambda: database.connect(ServiceRole.LANDER)))
        return opened[-1]

    yield open_lander
    for lander in opened:
        lander.close()


@pytest.fixture
def lander(new_lander: NewLander) -> Lander:
    return new_lander()


@pytest.fixture
def steward(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(ServiceRole.STEWARD, autocommit=True) as connection:
        yield connection


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect_admin(autocommit=True) as connection:
        yield connection
