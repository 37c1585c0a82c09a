"""What promotions leave in the outbox reaches the webhook as the documents say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.database import Database
from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import VerdictState
from pipeline.notify.delivery import Deliverer
from tests.integration.notify.outbox import Outbox
from tests.integration.notify.receiver import Receiver
from tests.integration.promote.world import World, copy_models

DOCUMENT = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A promoter on the test's database."""
    return World(database=database, dbt_dir=copy_models(tmp_path))


def documented(kind: str) -> dict[str, Any]:
    """The document's example of such a body."""
    examples = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)]
    return next(dict(example) for example in examples if example["type"] == kind)


def test_a_hold_is_told_once_and_a_failure_each_time(
    world: World, outbox: Outbox, receiver: Receiver, deliverer: Deliverer
) -> None:
    world.tenants("acme", "globex")
    world.land("acme", 5)
    world.land("globex", 5)
    world.gate.states["acme"] = VerdictState.FAILED
    held = world.promote()
    world.land("acme", 5)
    world.promote()
    outbox.deliver(deliverer)
    (told,) = [received.document for received in receiver.received]
    example = documented("tenant.held")
    assert (told["type"], told["data"]["tenant"], told["data"]["promotion"]) == ("tenant.held", "acme", held.id)
    assert told.keys() == example.keys()
    assert told["data"].keys() == example["data"].keys()
    assert told["data"]["rules"][0].keys() == example["data"]["rules"][0].keys()

    world.land("globex", 5)
    world.gate.while_judging = lambda: 1 / 0
    with pytest.raises(PromotionError):
        world.promote()
    outbox.deliver(deliverer)
    failed = receiver.received[-1].document
    assert failed["type"] == "promotion.failed"
    assert failed["data"].keys() == documented("promotion.failed")["data"].keys()
    assert "ZeroDivisionError" in failed["data"]["error"]
