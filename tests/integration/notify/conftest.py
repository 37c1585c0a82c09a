"""A receiver of its own for each test, and an outbox to fill and to look into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.core.database import Database
from pipeline.notify.delivery import Deliverer
from tests.integration.notify.outbox import Outbox, deliverer_to
from tests.integration.notify.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver with the right secret."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """The outbox of the test's database."""
    return Outbox(database)


@pytest.fixture
def deliverer(receiver: Receiver) -> Deliverer:
    """A deliverer to the receiver."""
    return deliverer_to(receiver.url)
