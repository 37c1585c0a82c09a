"""Traces of real processes, as a collector gets them: from a request to the promotion of what it brought."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.key_register import create_key
from pipeline.land.landing import Lander
from tests.conftest import NewTenant
from tests.factories import event
from tests.integration.cli.conftest import stream_environment
from tests.integration.cli.stack_process import eventually
from tests.integration.operations.collector import Collector, Span
from tests.integration.operations.processes import WORKBENCH, Process, running, variables
from tests.kafka import SharedBroker

Environment = dict[str, str | None]

CLIENTS_TRACE, CLIENTS_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM_CLIENT = {"traceparent": f"00-{CLIENTS_TRACE}-{CLIENTS_SPAN}-01"}
REQUEST = "POST /v1/events"


def post(api: Process, key: str, *, events: int = 3, headers: dict[str, str] = {}) -> None:  # noqa: B006
    url = api.until_it_says("listening at")["message"].removeprefix("listening at ")
    body = [{"event_id": str(uuid.uuid4()), "event_type": "page_view", "user_id": "u1"} for _ in range(events)]
    answer = httpx.post(f"{url}/v1/events", json=body, headers={"authorization": f"Bearer {key}", **headers})
    assert answer.is_success, answer.text
    assert httpx.get(f"{url}/readyz").is_success


def promote(environment: Environment, *words: str) -> None:
    ended = subprocess.run((*WORKBENCH, "promote", *words), env=variables(environment), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def one(spans: list[Span]) -> Span:
    assert len(spans) == 1, spans
    return spans[0]


def steps(collector: Collector, promotion: Span) -> list[str]:
    return [span.name for span in collector.children(promotion)]


def kept(database: Database) -> tuple[list[str], int]:
    """The steps whose seconds the ledger has, and the spans of landings that no promotion has taken yet."""
    with database.connect_admin() as connection:
        row = connection.execute(
            "select array(select jsonb_object_keys(step_seconds) order by 1),"
            " (select count(*) from control.landing_traces) from control.promotions"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def land(database: Database) -> None:
    """Land an event, here, where nothing is traced."""
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    lander.land([event()])
    lander.close()


def test_a_request_its_landing_and_its_promotion_are_led_to_from_one_another(
    database: Database, new_tenant: NewTenant, traced: Environment, collector: Collector, tmp_path: Path
) -> None:
    new_tenant("acme")
    with running(traced, tmp_path / "api.log", "serve", "--port", "0") as api:
        post(api, create_key(database, "acme"), headers=FROM_CLIENT)
        api.end()
        lines = api.lines()
    accepted, landed = one(collector.named(REQUEST)), one(collector.named("land"))
    assert (accepted.service, accepted.trace_id, accepted.parent_id) == ("workbench-api", CLIENTS_TRACE, CLIENTS_SPAN)
    assert accepted.about["workbench.tenant_id"] == "acme"
    assert (landed.trace_id, landed.parent_id) == accepted.place
    assert landed.about["workbench.records"] == "3"
    assert not collector.named("GET /readyz")
    [line] = [line for line in lines if line.get("trace_id") == CLIENTS_TRACE]
    assert (line["tenant_id"], line["process"], line["span_id"]) == ("acme", "api", accepted.span_id)

    promote(traced)
    promotion = one(collector.named("promotion"))
    assert promotion.links == (landed.place,)
    assert (promotion.about["workbench.promotion_id"], promotion.parent_id) == ("1", "")
    assert steps(collector, promotion) == ["plan", "build", "seal", "judge", "publish", "refresh", "tidy"]
    assert kept(database) == (["build", "judge", "plan", "publish", "refresh", "seal", "tidy"], 0)


@pytest.mark.long
def test_a_promotion_that_goes_step_by_step_is_one_trace_over_its_processes(
    database: Database, new_tenant: NewTenant, traced: Environment, collector: Collector
) -> None:
    new_tenant("acme")
    land(database)
    promote(traced, "--request", "hour", "--until", "check")
    promote(traced, "--request", "hour")
    begun, finished = collector.named("promotion")
    assert (finished.trace_id, finished.parent_id) == begun.place
    assert steps(collector, begun) == ["plan", "build", "seal", "judge", "promotion"]
    assert {"publish", "refresh"} <= set(steps(collector, finished))
    assert {"plan", "build", "judge", "publish", "refresh"} <= set(kept(database)[0])


def test_records_of_the_stream_lead_back_to_the_requests_that_published_them(
    database: Database,
    new_tenant: NewTenant,
    traced: Environment,
    collector: Collector,
    durable_broker: SharedBroker,
    topic: str,
    tmp_path: Path,
) -> None:
    new_tenant("acme")
    traced = traced | stream_environment(durable_broker.bootstrap, topic)
    with (
        running(traced, tmp_path / "consume.log", "consume") as consumer,
        running(traced, tmp_path / "api.log", "serve", "--port", "0") as api,
    ):
        api.until_it_says("Events go to the broker")
        key = create_key(database, "acme")
        for _ in range(3):
            post(api, key)

        def led_back() -> bool:
            places = {span.place for span in collector.named(REQUEST)}
            landings = collector.named("land")
            parents = {(span.trace_id, span.parent_id) for span in landings}
            return len(places) == 3 and places <= parents | {link for span in landings for link in span.links}

        eventually(led_back, "landings that lead back to each request")
        api.end()
        consumer.end()
    assert {span.service for span in collector.named("land")} == {"workbench-consume"}


def test_a_collector_that_is_away_keeps_nobody_waiting(
    database: Database, new_tenant: NewTenant, logged: Environment, tmp_path: Path
) -> None:
    new_tenant("acme")
    # Nothing listens at port 9 of this machine, which belongs to a service that discards.
    nowhere = logged | {"WORKBENCH_TRACES_ENDPOINT": "http://127.0.0.1:9"}
    with running(nowhere, tmp_path / "api.log", "serve", "--port", "0") as api:
        post(api, create_key(database, "acme"))
        api.end()


def test_without_an_endpoint_nothing_is_exported_and_the_sdk_is_not_even_imported(
    logged: Environment, tmp_path: Path
) -> None:
    program = (
        "import sys, workbench.cli.serve as serve\n"
        "from workbench.cli.context import read_settings\n"
        "from workbench.cli.service import service\n"
        "settings = read_settings()\n"
        "with service(settings, 'api', supervised=False) as (database, _), "
        "serve.serve_api(settings, database, port=0):\n"
        "    rooms = ('opentelemetry.sdk', 'opentelemetry.exporter')\n"
        "    print([name for name in sys.modules if name.startswith(rooms)])\n"
    )
    done = subprocess.run(
        (*WORKBENCH[:1], "-c", program), env=variables(logged), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]", done.stderr
