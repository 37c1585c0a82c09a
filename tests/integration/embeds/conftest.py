"""A world to embed in, which the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import deployed
from tests.integration.embeds.world import World, world


@pytest.fixture(scope="module")
def shared(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Metabase, an API and two tenants. What a test alters for a while it sets back."""
    with deployed(cluster, template) as database, world(database, tmp_path_factory.mktemp("world")) as made:
        yield made
