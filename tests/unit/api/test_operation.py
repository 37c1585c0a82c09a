"""What operators see: liveness, readiness, metrics, and the document."""

from __future__ import annotations

import json

import pytest

from api.metrics import Metrics
from api.openapi import EVENT_EXAMPLE, LINES_EXAMPLE
from pipeline.core.errors import DatabaseUnavailable
from pipeline.stream.memory import MemoryPublisher
from pipeline.stream.port import Group
from tests.unit.api.conftest import Door
from tests.unit.api.keys import KEY

pytestmark = pytest.mark.anyio


async def test_the_process_lives_while_the_database_is_away_but_is_not_ready(
    door: Door, publisher: MemoryPublisher
) -> None:
    async with door() as client:
        assert (await client.get("/readyz")).status_code == 200
        publisher.failure = DatabaseUnavailable("PostgreSQL does not answer at 10.0.0.7.")
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["code"] == "not_ready"
    assert "10.0.0.7" not in answer.text


async def test_metrics_count_requests_and_events_and_name_no_tenant_key_or_path(door: Door) -> None:
    metrics = Metrics()
    metrics.watch_queue(lambda: 7)
    metrics.observe_group(Group(events=40, publishes=2, seconds=0.003))
    async with door(metrics=metrics) as client:
        await client.post("/v1/events", json=[EVENT_EXAMPLE, EVENT_EXAMPLE, {}])
        await client.get("/some/path")
        text = (await client.get("/metrics")).text
    for line in (
        'workbench_http_requests_total{route="/v1/events",status="207"} 1.0',
        'workbench_http_requests_total{route="other",status="404"} 1.0',
        'workbench_events_total{outcome="accepted"} 1.0',
        'workbench_events_total{outcome="duplicate"} 1.0',
        'workbench_events_total{outcome="conflict"} 0.0',
        'workbench_events_total{outcome="invalid"} 1.0',
        "workbench_request_events_sum 3.0",
        "workbench_publish_seconds_count 1.0",
        "workbench_group_events_sum 40.0",
        "workbench_group_requests_sum 2.0",
        "workbench_queued_events 7.0",
    ):
        assert line in text.splitlines()
    assert not [word for word in ("acme", KEY, "some/path") if word in text]


async def test_two_applications_of_one_process_measure_apart(door: Door) -> None:
    async with door() as one, door() as other:
        await one.post("/v1/events", json=EVENT_EXAMPLE)
        assert 'route="/v1/events"' not in (await other.get("/metrics")).text


async def test_the_document_names_every_route_and_its_examples_work(door: Door) -> None:
    async with door() as client:
        document = (await client.get("/openapi.json")).json()
        assert set(document["paths"]) == {"/v1/events", "/healthz", "/readyz", "/metrics"}
        operation = document["paths"]["/v1/events"]["post"]
        for media_type, content in operation["requestBody"]["content"].items():
            for example in content["examples"].values():
                value = example["value"]
                answer = await client.post(
                    "/v1/events",
                    content=value if isinstance(value, str) else json.dumps(value),
                    headers={"Content-Type": media_type},
                )
                assert answer.status_code == 200
        answer = await client.post("/v1/events", json=[EVENT_EXAMPLE, {}])
    assert LINES_EXAMPLE.count("\n") == 1
    assert operation["security"] == [{"key": []}]
    told = operation["responses"]["207"]["content"]["application/json"]["example"]
    results = answer.json()["results"]
    assert told | {"accepted": 0, "duplicate": 1} == answer.json() | {"results": told["results"]}
    assert all(
        told_result.keys() <= result.keys() for told_result, result in zip(told["results"], results, strict=True)
    )
    assert set(operation["responses"]) == {"200", "207", "400", "401", "403", "408", "409", "413", "415", "422", "503"}
