"""Our own services of compose.yaml: they come up in their order, do their work, are well by their checks, and end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.command_line import CommandLine
from tests.fakes.metabase import running_metabase
from tests.integration.compose.containers import CONFINES, PORTS, Container, NewContainer

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def stack(new_container: NewContainer) -> Iterator[dict[str, Container]]:
    """All of them, running."""
    for name in ("migrate", "topic"):
        new_container(name).run()
    containers = {name: new_container(name) for name in PORTS}
    assert not any(container.is_healthy() for container in containers.values()), "nobody runs yet"
    with ExitStack() as running:
        for container in containers.values():
            running.enter_context(container).start()
        yield containers


def base_url(container: Container) -> str:
    """Where it answers, as its health check has it."""
    return container.health_url().rpartition("/")[0]


def test_an_event_goes_all_the_way_from_the_api_to_the_database(stack: dict[str, Container]) -> None:
    workbench = CommandLine({**stack["api"].environment()})
    workbench.run("tenants", "add", "acme")
    key = workbench.json("keys", "create", "acme")["key"]
    event = {"event_id": str(uuid.uuid4()), "event_type": "page_view", "user_id": "u1"}
    answer = httpx.post(
        f"{base_url(stack['api'])}/v1/events",
        json=[event],
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 1, answer.text + stack["api"].said()
    with psycopg.connect(stack["api"].environment()["DATABASE_URL"], autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while connection.execute("select event_id::text from raw.usage_events").fetchall() != [(event["event_id"],)]:
            assert time.monotonic() < deadline, stack["consumer"].said()
            time.sleep(0.1)


@pytest.mark.parametrize("name", PORTS)
def test_a_process_is_well_and_ends_in_order_when_it_is_told_to(stack: dict[str, Container], name: str) -> None:
    assert stack[name].is_healthy()
    assert stack[name].stop() == 0, stack[name].said()
    assert not stack[name].is_healthy()


@pytest.mark.long
def test_dashboards_are_provisioned_and_what_somebody_changes_by_hand_is_told_in_the_log(
    new_container: NewContainer,
) -> None:
    new_container("migrate").run()
    with running_metabase() as metabase:
        elsewhere = {"http://metabase:3000": metabase.url}
        with new_container("metabase-provision", elsewhere, DRIFT_SECONDS="1").start() as provision:
            assert metabase.store.dashboards
            next(iter(metabase.store.dashboards.values()))["description"] = "changed by hand"
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "Metabase differs" not in provision.said():
                assert time.monotonic() < deadline, provision.said()
                time.sleep(0.2)


@pytest.mark.skipif(not CONFINES, reason="it takes Linux and root to take rights away from a process")
def test_a_process_that_is_confined_can_write_to_its_volumes_and_nowhere_else(new_container: NewContainer) -> None:
    api = new_container("api")
    volume = api.environment()["WORKBENCH_HOME"]
    api.run("touch", f"{volume}/written", f"{api.environment()['TMPDIR']}/written")
    assert "Read-only file system" in api.run("touch", f"{Path(__file__).parent}/written", exits=1)
    assert "NoNewPrivs:\t1" in api.run("grep", "NoNewPrivs", "/proc/self/status")
    assert "CapEff:\t0000000000000000" in api.run("grep", "CapEff", "/proc/self/status")
