"""A world of its own: tenants that tests leave held would be judged again in the promotions of other files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.promote.estate import deployed
from tests.integration.promote.world import World, copy_models


@pytest.fixture(scope="package")
def shared_world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A deployed database with a promoter of three of its marts."""
    with deployed(cluster, template) as database:
        yield World(database=database, dbt_dir=copy_models(tmp_path_factory.mktemp("models")))
