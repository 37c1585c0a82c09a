"""Figures as the API reads them: all of one moment, within their time, and counted only for who lacks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from psycopg_pool import ConnectionPool

from api.question import Asked, completed
from api.refusals import Refusal
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable, MetricError, MetricTooSlow, TenantError
from pipeline.core.key_register import create_key
from pipeline.core.metrics.catalog import read_metrics
from pipeline.core.metrics.reading import Part, Publication, PublishedFigures, Question, only_reading
from pipeline.core.settings import Settings
from pipeline.core.tenants import suspend_tenant
from tests.conftest import NewTenant
from workbench.cli.serve import serve_api

PUBLISH = """
with promotion as (
    insert into control.promotions (bound_xid, as_of, models_fingerprint) values ('9', now(), 'x')
    returning promotion_id, as_of
),
progress as (
    insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
    select 'acme', '9', promotion_id, as_of, 'x' from promotion
    on conflict (tenant_id) do update set promotion_id = excluded.promotion_id, as_of = excluded.as_of
    returning promotion_id
)
insert into marts.tenant_usage_metrics (tenant_id, day, event_type, events, active_users)
select 'acme', date '2026-03-01' + n, 'x', promotion_id, 1 from progress cross join generate_series(0, 4) as n
on conflict (tenant_id, day, event_type) do update set events = excluded.events
returning events
"""
PUBLISH_EACH = """
insert into marts.tenant_usage_metrics (tenant_id, day, event_type, events, active_users)
select t.tenant_id, date '2026-03-01' + n, 'x', t.events, 1
from unnest(%(tenants)s::text[], %(events)s::bigint[]) as t (tenant_id, events) cross join generate_series(0, 4) as n
"""
REQUIRE = "select control.require_metric_arguments(%s, %s, 'day', array['day'], 'none', array['none'])"
QUESTION = Question(
    metric=next(metric for metric in read_metrics() if metric.name == "events"),
    from_day=date(2026, 3, 1),
    to_day=date(2026, 4, 1),
    granularity="day",
    dimension="none",
)
Open = Callable[..., AbstractContextManager[PublishedFigures]]


@pytest.fixture
def publish(database: Database, new_tenant: NewTenant) -> Callable[[], int]:
    """Publishes figures that are all the promotion's id; answers it."""
    new_tenant("acme")

    def publish_once() -> int:
        with database.connect_admin() as admin:
            return int(admin.execute(PUBLISH).fetchall()[0][0])

    return publish_once


@pytest.fixture
def opened(database: Database) -> Open:
    """Opens figures with a pool of connections of their own."""

    @contextmanager
    def open_figures(
        url: str = "", options: str = "", connections: int = 1, seconds: float = 5
    ) -> Iterator[PublishedFigures]:
        pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
            url or database.url(ServiceRole.API),
            min_size=0,
            max_size=connections,
            timeout=seconds,
            configure=only_reading,
            kwargs={"options": options},
            open=False,
        )
        with pool:
            yield PublishedFigures(pool)

    return open_figures


def part(**changes: Any) -> Part:
    """The question's first ten rows, or what is changed of it."""
    fields = {name: getattr(QUESTION, name) for name in QUESTION.__struct_fields__}
    return Part(question=Question(**fields | changes), limit=10)


def test_figures_and_their_promotion_are_of_one_moment(opened: Open, publish: Callable[[], int]) -> None:
    """Whatever is published between the two."""
    with opened() as figures:
        for _ in range(3):
            promotion_id = publish()

            def want(_: Publication) -> Part:
                publish()
                return part()

            reading = figures.read("acme", want)
            assert reading.publication.promotion_id == promotion_id
            assert reading.rows is not None
            assert {row["events"] for row in reading.rows} == {promotion_id}


def test_what_takes_too_long_is_given_up_and_the_next_question_answered(
    database: Database, opened: Open, publish: Callable[[], int]
) -> None:
    publish()
    with opened(options="-c statement_timeout=300") as figures:
        with database.connect_admin() as admin:
            admin.execute("lock table marts.tenant_usage_metrics in access exclusive mode")
            with pytest.raises(MetricTooSlow):
                figures.read("acme", lambda _: part())
            admin.rollback()
        assert figures.read("acme", lambda _: part()).rows


def test_nobody_gets_figures_of_a_tenant_that_is_suspended_even_meanwhile(
    database: Database, opened: Open, publish: Callable[[], int]
) -> None:
    publish()
    with opened() as figures:
        assert figures.read("acme", lambda _: None).rows is None
        suspend_tenant(database, "acme")
        with pytest.raises(TenantError, match="suspended"):
            figures.read("acme", lambda _: part())
        with pytest.raises(TenantError, match="no tenant"):
            figures.read("globex", lambda _: part())


def test_what_is_no_question_of_the_metric_is_told_by_the_database_too(
    opened: Open, publish: Callable[[], int]
) -> None:
    publish()
    with opened() as figures, pytest.raises(MetricError, match="granularity is one of: day, week, month"):
        figures.read("acme", lambda _: part(granularity="hour"))


def test_a_server_that_is_away_is_told_as_such(opened: Open, publish: Callable[[], int]) -> None:
    publish()
    with (
        opened("postgresql://workbench_api@127.0.0.1:1/none", seconds=0.3) as figures,
        pytest.raises(DatabaseUnavailable, match="does not answer"),
    ):
        figures.read("acme", lambda _: part())


def test_a_reading_writes_nothing(opened: Open, publish: Callable[[], int]) -> None:
    publish()
    with opened() as figures:
        figures.read("acme", lambda _: part())
        pool = figures._pool
        with pool.connection() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("insert into control.audit_log (actor, action) values ('x', 'x')")


def test_threads_that_share_connections_get_their_own_tenants_figures(
    database: Database, new_tenant: NewTenant, opened: Open
) -> None:
    tenants = {f"tenant-{number}": number for number in range(1, 5)}
    for tenant in tenants:
        new_tenant(tenant)
    with database.connect_admin() as admin:
        admin.execute(PUBLISH_EACH, {"tenants": list(tenants), "events": list(tenants.values())})

    def read(tenant: str) -> tuple[str, set[int]]:
        rows = figures.read(tenant, lambda _: part()).rows
        return tenant, {row["events"] for row in rows or ()}

    with opened(connections=2) as figures, ThreadPoolExecutor(4) as threads:
        for tenant, events in threads.map(read, [*tenants] * 50):
            assert events == {tenants[tenant]}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(to_day=st.dates(date(1000, 1, 1), date(2999, 12, 31)) | st.sampled_from([date(2024, 2, 29), date(2025, 2, 28)]))
def test_the_api_and_the_database_agree_on_the_longest_range(database: Database, to_day: date) -> None:
    def api_refuses(from_day: date) -> bool:
        try:
            completed(replace(asked, from_day=from_day), Publication(), to_day)
        except Refusal:
            return True
        return False

    asked = Asked(metric=QUESTION.metric, granularity="day", dimension="none", to_day=to_day)
    around = [to_day.replace(day=1, year=to_day.year - 5) + timedelta(days=to_day.day + n) for n in range(-4, 3)]
    with database.connect_admin(autocommit=True) as admin:
        for from_day in [*around, to_day, to_day - timedelta(days=1)]:
            try:
                admin.execute(REQUIRE, (from_day, to_day))
                refused = False
            except psycopg.errors.InvalidParameterValue:
                refused = True
            assert refused is api_refuses(from_day), (from_day, to_day)


def test_over_http_what_the_client_has_is_not_counted_again_until_something_is_published(
    database: Database, publish: Callable[[], int], tmp_path: Path
) -> None:
    first = publish()
    key = create_key(database, "acme", scopes=["read"])
    given_settings = Settings.from_environment({"WORKBENCH_HOME": str(tmp_path)})
    question = "/v1/metrics/events?from=2026-03-01&to=2026-03-06"
    with (
        serve_api(given_settings, database, port=0) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
        database.connect_admin() as admin,
    ):
        answer = client.get(question)
        assert [row["events"] for row in answer.json()["rows"]] == [first] * 5
        presented = {"If-None-Match": answer.headers["etag"]}
        # Whoever counts now, waits.
        admin.execute("lock table marts.tenant_usage_metrics in access exclusive mode")
        assert client.get(question, headers=presented).status_code == 304
        admin.rollback()
        second = publish()
        again = client.get(question, headers=presented)
        assert (again.status_code, again.json()["promotion_id"]) == (200, second)
        assert {row["events"] for row in again.json()["rows"]} == {second}
        admin.execute("update control.promotion_progress set held_since = now()")
        admin.commit()
        held = client.get(question, headers={"If-None-Match": again.headers["etag"]})
        assert (held.status_code, held.json()["held"]) == (200, True)
