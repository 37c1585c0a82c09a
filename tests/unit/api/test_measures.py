"""GET /v1/metrics: who may ask, what may be asked, pages, entity tags, and every way to fail."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from api.measures import OF_ONE_TENANT
from api.measures_openapi import MEASURE_EXAMPLE
from pipeline.core.errors import DatabaseUnavailable, MetricError, MetricTooSlow, TenantError, WorkbenchError
from pipeline.core.metrics.reading import Publication
from tests.unit.api.conftest import Door
from tests.unit.api.figures import AS_OF, PUBLISHED, StandIn
from tests.unit.api.keys import KEY, Keys, grant

pytestmark = pytest.mark.anyio


@pytest.fixture
def figures() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.free.set()


@asynccontextmanager
async def reader(door: Door, keys: Keys, figures: StandIn) -> AsyncIterator[httpx.AsyncClient]:
    keys.grants[KEY] = grant(scopes=frozenset({"read"}))
    async with door(figures=figures) as client:
        yield client


async def test_figures_come_with_all_that_they_depend_on(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        answer = await client.get("/v1/metrics/events?from=2026-02-01&to=2026-02-04&dimension=event_type")
    assert answer.status_code == 200
    assert answer.json() == {
        "metric": "events",
        "from": "2026-02-01",
        "to": "2026-02-04",
        "granularity": "day",
        "dimension": "event_type",
        "promotion_id": 7,
        "as_of": "2026-03-02T10:00:00Z",
        "held": False,
        "rows": [{"period_start": f"2026-02-0{n + 1}", "events": n} for n in range(3)],
        "next_cursor": None,
    }
    assert answer.headers["cache-control"] == "private, max-age=0, must-revalidate"
    assert answer.headers["vary"] == "Authorization"


async def test_the_tenant_comes_from_the_key_and_from_nowhere_else(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        assert (await client.get("/v1/metrics/events?tenant=globex")).status_code == 400
        assert (await client.get("/v1/metrics/events", headers={"X-Tenant": "globex"})).status_code == 200
    assert [tenant for tenant, _ in figures.asked] == ["acme"]


async def test_without_a_range_the_latest_days_are_meant(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        by_day = (await client.get("/v1/metrics/events")).json()
        by_month = (await client.get("/v1/metrics/retention?granularity=month")).json()
        figures.publication = Publication()
        unpublished = (await client.get("/v1/metrics/feature_adoption")).json()
    assert (by_day["from"], by_day["to"]) == ("2026-02-03", "2026-03-03")
    assert (by_month["from"], by_month["to"]) == ("2025-03-03", "2026-03-03")
    assert (unpublished["from"], unpublished["to"]) == ("2021-03-04", "2026-03-03")
    assert (unpublished["promotion_id"], unpublished["as_of"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "parameter", "told"),
    [
        ("from=yesterday", "from", "a day such as 2026-03-02"),
        ("from=20260302", "from", "a day such as 2026-03-02"),
        ("from=2026-W10-1", "from", "a day such as 2026-03-02"),
        ("from=2026-02-30", "from", "a day such as 2026-03-02"),
        ("to=0001-01-01", "to", "a day such as 2026-03-02"),
        ("from=2026-02-01&to=2026-02-01", "to", "later than from"),
        ("from=2021-01-31&to=2026-02-01", "from", "more than 5 years"),
        ("granularity=hour", "granularity", "one of day, week, month"),
        ("granularity=", "granularity", "one of day, week, month"),
        ("dimension=user_id", "dimension", "one of none, event_type"),
        ("limit=0", "limit", "from 1 to 10000"),
        ("limit=10001", "limit", "from 1 to 10000"),
        ("limit=-1", "limit", "from 1 to 10000"),
        ("limit=٣", "limit", "from 1 to 10000"),
        ("cursor=", "cursor", "next_cursor of the page before"),
        ("cursor=AAAA", "cursor", "next_cursor of the page before"),
        ("cursor=!", "cursor", "next_cursor of the page before"),
        ("cursor=" + "A" * 300, "cursor", "next_cursor of the page before"),
        ("cursor=WzcsIngiLC0xXQ", "cursor", "next_cursor of the page before"),
        ("from=2026-02-01&from=2026-02-02", "from", "more than once"),
        ("since=2026-02-01", None, "from, to, granularity, dimension, limit, cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_what_can(
    door: Door, keys: Keys, figures: StandIn, query: str, parameter: str | None, told: str
) -> None:
    async with reader(door, keys, figures) as client:
        answer = await client.get(f"/v1/metrics/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert answer.json()["details"].get("parameter") == parameter
    assert told in answer.json()["message"]
    assert figures.asked == []


async def test_an_unknown_metric_is_answered_with_those_there_are(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        answer = await client.get("/v1/metrics/freshness")
        [known] = {tuple((await client.get("/v1/metrics/x")).json()["details"]["metrics"])}
        catalogue = (await client.get("/v1/metrics")).json()["metrics"]
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_metric")
    assert tuple(metric["name"] for metric in catalogue) == known
    assert catalogue[1]["granularities"] == ["day", "week", "month"]
    assert catalogue[1]["columns"][0]["type"] == "date"


async def test_a_key_that_may_not_read_reads_nothing(door: Door, keys: Keys, figures: StandIn) -> None:
    async with door(figures=figures) as client:
        for path in ("/v1/metrics", "/v1/metrics/events"):
            assert (await client.get(path)).json()["code"] == "missing_scope"
            assert (await client.get(path, headers={"Authorization": "Bearer x"})).status_code == 401
        keys.grants["suspended"] = grant(scopes=frozenset({"read"}), suspended=True)
        answer = await client.get("/v1/metrics/events", headers={"Authorization": "Bearer suspended"})
        assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    assert figures.asked == []


async def test_what_the_client_has_is_not_counted_again(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        first = await client.get("/v1/metrics/events")
        for presented in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
            again = await client.get("/v1/metrics/events", headers={"If-None-Match": presented})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
    assert len(figures.asked) == 1


async def test_another_answer_has_another_tag(door: Door, keys: Keys, figures: StandIn) -> None:
    questions = ["", "?granularity=week", "?dimension=event_type", "?limit=2", "?from=2026-02-02"]
    async with reader(door, keys, figures) as client:
        tags = [(await client.get(f"/v1/metrics/events{question}")).headers["etag"] for question in questions]
        tags.append((await client.get("/v1/metrics/sessions")).headers["etag"])
        for figures.publication in (
            replace(PUBLISHED, promotion_id=8),
            replace(PUBLISHED, held=True),
            replace(PUBLISHED, as_of=AS_OF + timedelta(hours=1)),
        ):
            tags.append((await client.get("/v1/metrics/events")).headers["etag"])
        figures.publication = PUBLISHED
        keys.grants["globex"] = grant(tenant_id="globex", scopes=frozenset({"read"}))
        other = {"Authorization": "Bearer globex", "If-None-Match": tags[0]}
        tags.append((await client.get("/v1/metrics/events", headers=other)).headers["etag"])
    assert len(set(tags)) == len(tags)


async def test_pages_are_all_rows_once(door: Door, keys: Keys, figures: StandIn) -> None:
    rows, query = [], "?limit=2&from=2026-02-01&to=2026-03-01"
    figures.rows = StandIn(rows=7).rows
    async with reader(door, keys, figures) as client:
        page = (await client.get(f"/v1/metrics/events{query}")).json()
        rows += page["rows"]
        while page["next_cursor"]:
            page = (await client.get(f"/v1/metrics/events{query}&cursor={page['next_cursor']}")).json()
            rows += page["rows"]
    assert [row["events"] for row in rows] == list(range(7))


async def test_a_cursor_fits_its_question_and_its_publication_only(door: Door, keys: Keys, figures: StandIn) -> None:
    async with reader(door, keys, figures) as client:
        cursor = (await client.get("/v1/metrics/events?limit=1")).json()["next_cursor"]
        other = await client.get(f"/v1/metrics/events?limit=1&granularity=week&cursor={cursor}")
        figures.publication = replace(PUBLISHED, promotion_id=8)
        later = await client.get(f"/v1/metrics/events?limit=1&cursor={cursor}")
    assert (other.status_code, other.json()["details"]) == (400, {"parameter": "cursor"})
    assert (later.status_code, later.json()["code"]) == (409, "figures_changed")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (DatabaseUnavailable("10.0.0.7 is away"), 503, "unavailable"),
        (TenantError("Tenant acme is suspended."), 403, "tenant_suspended"),
        (MetricTooSlow(remedy="Ask for a shorter time."), 504, "took_too_long"),
        (MetricError("granularity is one of: day."), 400, "invalid_parameter"),
    ],
)
async def test_every_failure_has_its_answer(
    door: Door, keys: Keys, figures: StandIn, failure: WorkbenchError, status: int, code: str
) -> None:
    figures.failure = failure
    async with reader(door, keys, figures) as client:
        answer = await client.get("/v1/metrics/events")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "10.0.0.7" not in answer.text


async def test_one_tenant_waits_for_itself_and_for_nobody_else(door: Door, keys: Keys, figures: StandIn) -> None:
    """While its questions take their time, others are answered, events too, and too many are refused."""
    slow, other = StandIn(), grant(tenant_id="globex", scopes=frozenset({"read"}))
    slow.free.clear()

    class Mixed(StandIn):
        def read(self, tenant_id, want):  # type: ignore[no-untyped-def]
            return (slow if tenant_id == "acme" else figures).read(tenant_id, want)

    async with reader(door, keys, Mixed()) as client:
        keys.grants["globex"] = other
        tasks = [asyncio.create_task(client.get("/v1/metrics/events")) for _ in range(OF_ONE_TENANT + 1)]
        async with asyncio.timeout(10):
            [refused], waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert refused.result().json()["code"] == "too_many_requests"
            answer = await client.get("/v1/metrics/events", headers={"Authorization": "Bearer globex"})
            assert answer.status_code == 200
            assert (await client.get("/healthz")).status_code == 200
            slow.free.set()
            assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
            assert (await client.get("/v1/metrics/events")).status_code == 200


async def test_the_document_tells_the_metrics_and_requests_are_measured_by_metric(
    door: Door, keys: Keys, figures: StandIn
) -> None:
    async with reader(door, keys, figures) as client:
        document = (await client.get("/openapi.json")).json()
        await client.get("/v1/metrics/events")
        await client.get("/v1/metrics/made.up")
        measured = (await client.get("/metrics")).text
    operation = document["paths"]["/v1/metrics/{name}"]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == [
        "name", "from", "to", "granularity", "dimension", "limit", "cursor", "If-None-Match",
    ]  # fmt: skip
    assert operation["security"] == [{"key": []}]
    assert set(document["components"]["schemas"]) >= {"Answer", "Catalogue", "Measure", "Error"}
    assert set(MEASURE_EXAMPLE) == set(document["components"]["schemas"]["Measure"]["properties"])
    assert 'workbench_http_requests_total{route="/v1/metrics/events",status="200"} 1.0' in measured
    assert "made.up" not in measured


async def test_the_addresses_of_the_documentation_work(door: Door, keys: Keys, figures: StandIn) -> None:
    text = (Path(__file__).parents[3] / "docs" / "metrics-api.md").read_text()
    addresses = re.findall(r"http://127.0.0.1:8000(\S+)\"", text)
    assert len(addresses) == 2
    async with reader(door, keys, figures) as client:
        for address in addresses:
            assert (await client.get(address)).status_code == 200, address
        answer = (await client.get(addresses[0])).json()
    [told] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert set(json.loads(told)) == set(answer)
