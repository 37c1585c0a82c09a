"""A world of its own: tenants that tests leave held would be judged again in the promotions of other files.

Decisions concern no model, so its promotions run what dbt compiled, without dbt.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import DBT_DIR, deployed
from tests.integration.promote.estate import Compiled
from tests.integration.promote.world import World


@pytest.fixture(scope="package")
def shared_world(cluster: str, template: str, compiled: Compiled) -> Iterator[World]:
    """A deployed database with a quick promoter of all marts."""
    with deployed(cluster, template) as database:
        yield World(database=database, dbt_dir=DBT_DIR, new_builder=lambda: compiled.builder(database))
