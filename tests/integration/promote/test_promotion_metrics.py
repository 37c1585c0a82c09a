"""Where promotions stand, as Prometheus and the log are told: read from the ledger, whoever promotes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.core import logs
from pipeline.core.database import Database
from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import VerdictState
from tests.conftest import DBT_DIR
from tests.integration.promote.estate import Compiled
from tests.integration.promote.world import World
from workbench.cli.schedule import tell
from workbench.promoting.metrics import registry_of
from workbench.promoting.standing import read_standing

PATIENCE_SECONDS = 30.0


@pytest.fixture
def world(database: Database, compiled: Compiled) -> World:
    """A database of this test alone, since the figures are of all its tenants."""
    return World(database=database, dbt_dir=DBT_DIR, new_builder=lambda: compiled.builder(database))


def read(registry: CollectorRegistry) -> dict[str, Any]:
    """The samples by name: a value, or values by the labels' values."""
    samples: dict[str, Any] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            name = sample.name.removeprefix("workbench_")
            if sample.labels:
                samples.setdefault(name, {})[tuple(sample.labels.values())] = sample.value
            else:
                samples[name] = sample.value
    return samples


def figures(database: Database) -> dict[str, Any]:
    return read(registry_of(lambda: read_standing(database), every_seconds=3600, patience=PATIENCE_SECONDS))


@contextmanager
def json_lines(*names: str) -> Iterator[StringIO]:
    """What these loggers write as JSON within the block."""
    stream = StringIO()
    handler = logs.handler("json", process="schedule", stream=stream)
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield stream
    for logger in loggers:
        logger.removeHandler(handler)


def test_they_tell_what_was_promoted_who_is_held_and_what_waits(world: World) -> None:
    world.tenants("acme", "globex", "idle")
    before = figures(world.database)
    assert before["promotions_up"] == 1
    assert before["promotion_failures_since_success"] == 0
    assert "promotion_last_success_timestamp_seconds" not in before

    world.land("acme", 40)
    world.land("globex", 10)
    world.gate.states["globex"] = VerdictState.FAILED
    promotion = world.promote()
    world.land("acme", 5)

    now = figures(world.database)
    assert now["promotion_events"] == 40
    assert now["promotion_tenants"] == {("promoted",): 1, ("held",): 1}
    assert now["promotion_rows"] == {("written",): sum(promotion.rows_written.values()), ("deleted",): 0}
    assert {step for (step,) in now["promotion_step_seconds"]} == set(promotion.seconds)
    assert now["promotions_recent"] == {("published",): 1}
    assert now["pending_events"] == {("false",): 5, ("true",): 10}
    assert now["pending_tenants"] == {("false",): 1, ("true",): 1}
    assert now["held_tenants"][("failed",)] == 1
    assert list(now["held_tenant_since_timestamp_seconds"]) == [("globex", "failed")]
    assert now["tenants"] == {("active",): 3, ("suspended",): 0}
    assert now["notifications"] == {("waiting",): 1, ("abandoned",): 0}
    assert now["database_bytes"] > 1_000_000
    assert abs(time.time() - now["promotion_last_success_timestamp_seconds"]) < 600
    assert now["oldest_as_of_timestamp_seconds"] == pytest.approx(promotion.as_of.timestamp())


def test_failures_are_counted_until_one_succeeds(world: World) -> None:
    world.tenants("acme")
    world.land("acme", 3)

    def fails() -> None:
        raise RuntimeError("the gate is away")

    world.gate.while_judging = fails
    for _ in range(2):
        with pytest.raises(PromotionError) as caught:
            world.promote()
    assert caught.value.about == {"promotion_id": world.last_promotion()}
    assert figures(world.database)["promotion_failures_since_success"] == 2
    world.gate.while_judging = lambda: None
    world.promote()
    assert figures(world.database)["promotion_failures_since_success"] == 0


def test_a_database_that_is_away_is_told_and_nothing_that_is_not_known() -> None:
    away = figures(Database(admin_url="postgresql://nobody@127.0.0.1:1/nothing"))
    assert away["promotions_up"] == 0
    assert not {"pending_events", "held_tenants"} & set(away)


def test_every_line_about_a_promotion_tells_it_and_every_line_about_a_tenant_tells_that_too(world: World) -> None:
    world.tenants("acme", "globex")
    world.land("acme", 4)
    world.land("globex", 4)
    world.gate.states["globex"] = VerdictState.FAILED
    step = logging.getLogger("tests.steps")
    with json_lines("tests.steps", "workbench.cli.schedule") as stream:
        promotion = world.promote(progress=step.debug)
        tell(promotion)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    known = [line for line in lines if line["message"] not in ("Looking for new data",)]
    steps = [line for line in known if line["logger"] == "tests.steps"]
    assert {line.get("promotion_id") for line in known if line not in steps} == {promotion.id}
    assert [line["message"] for line in steps if line.get("promotion_id") == promotion.id]
    [held] = [line for line in lines if line.get("tenant_id")]
    assert (held["tenant_id"], held["level"]) == ("globex", "warning")
    assert "raw_to_facts: clock_ahead" in held["message"]
