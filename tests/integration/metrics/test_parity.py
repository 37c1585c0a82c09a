"""One figure, whoever asks: the API, an embedded dashboard, the notebooks' analysis, and SQL over what was landed.

For every tenant of the real data, over its latest five years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import polars as pl
import psycopg
import pytest
from psycopg import sql

from pipeline.core.database import ServiceRole
from pipeline.core.key_register import create_key, revoke_key
from pipeline.core.metrics.catalog import Metric, read_metrics
from pipeline.core.settings import Settings
from tests.integration.metrics.landed import LANDED, PREPARE, whole_range
from tests.integration.metrics.tokens import issued
from tests.showcase import Showcase
from workbench.analysis import features, overview, retention
from workbench.analysis.overview import Selection
from workbench.analysis.periods import Calendar, latest_day
from workbench.cli.serve import serve_api
from workbench.session import Workbench

METRICS = {metric.name: metric for metric in read_metrics()}
VARIANTS = [
    (metric, granularity, dimension)
    for metric in METRICS.values()
    for granularity in metric.granularities
    for dimension in metric.dimensions
]
FINEST = [(metric, metric.granularities[0], metric.dimensions[-1]) for metric in METRICS.values()]
DIRECT = "select * from metrics.{name}(%s, %s, %s, %s, %s)"
CALENDAR: tuple[Calendar, ...] = ("day", "week", "month")

Rows = list[tuple[Any, ...]]
KeyOf = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def embed(showcase: Showcase) -> Iterator[psycopg.Connection]:
    with showcase.database.connect(ServiceRole.EMBED, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def api(showcase: Showcase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The process's own composition, over HTTP."""
    settings = Settings.from_environment({"WORKBENCH_HOME": str(tmp_path_factory.mktemp("api"))})
    with serve_api(settings, showcase.database, port=0) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def key_of(showcase: Showcase) -> Iterator[KeyOf]:
    """Makes the header that a tenant's backend sends; its key lives as long as the test."""
    made: list[str] = []

    def make(tenant: str) -> dict[str, str]:
        made.append(create_key(showcase.database, tenant, scopes=["read"]))
        return {"Authorization": f"Bearer {made[-1]}"}

    yield make
    for key in made:
        revoke_key(showcase.database, key.split("_")[2])


def last_day(wb: Workbench) -> date:
    """The day that the notebooks show a tenant of."""
    as_of, span = wb.freshness().as_of, overview.span(wb.table("fct_usage_events"))
    assert as_of is not None
    assert span is not None
    return latest_day(as_of, span.last_at)


def latest_years(wb: Workbench) -> tuple[date, date]:
    """The latest five years of a tenant."""
    until = last_day(wb) + timedelta(days=1)
    return until - timedelta(days=5 * 365), until


def direct(
    embed: psycopg.Connection, token: str, name: str, days: tuple[date, date], granularity: str, dimension: str = "none"
) -> Rows:
    """A metric as an embedded dashboard's card asks for it."""
    return embed.execute(DIRECT.format(name=name).encode(), (token, *days, granularity, dimension)).fetchall()


def rounded(rows: Rows) -> Rows:
    """Rows whose fractions are told to nine digits: their sums may have been made in another order."""
    return [tuple(f"{value:.9g}" if isinstance(value, float) else value for value in row) for row in rows]


def all_pages(api: httpx.Client, metric: Metric, query: dict[str, Any], headers: dict[str, str]) -> list[Any]:
    rows, cursor = [], None
    while True:
        answer = api.get(
            f"/v1/metrics/{metric.name}", params=query | ({"cursor": cursor} if cursor else {}), headers=headers
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


def test_an_embedded_dashboard_shows_what_was_landed_of_every_tenant(
    showcase: Showcase, embed: psycopg.Connection
) -> None:
    with showcase.database.connect_admin() as admin:
        for number, tenant in enumerate(showcase.tenants):
            wb = showcase.workbench(tenant)
            token, days = issued(showcase.database, tenant), latest_years(wb)
            admin.execute(PREPARE.format(tenant=sql.Literal(tenant).as_string(admin)).encode())
            values: dict[str, Any] = {"as_of": wb.freshness().as_of}
            for metric, granularity, dimension in VARIANTS if number % 4 == 0 else FINEST:
                shown = direct(embed, token, metric.name, days, granularity, dimension)
                start, end = whole_range(days, granularity)
                values |= {"granularity": granularity, "dimension": dimension, "start": start, "end": end}
                landed = admin.execute(LANDED[metric.name].encode(), values).fetchall()
                assert rounded(shown) == rounded(landed), (tenant, metric.name, granularity, dimension)
                assert shown or metric.name in ("feature_adoption", "retention", "new_users"), (tenant, metric.name)


def test_the_api_answers_what_the_dashboard_shows_page_by_page(
    showcase: Showcase, api: httpx.Client, embed: psycopg.Connection, key_of: KeyOf
) -> None:
    for number, tenant in enumerate(showcase.tenants):
        wb = showcase.workbench(tenant)
        token, days, headers = issued(showcase.database, tenant), latest_years(wb), key_of(tenant)
        for metric in METRICS.values():
            granularity, dimension = metric.granularities[-1], metric.dimensions[-1]
            query = {"from": days[0], "to": days[1], "granularity": granularity, "dimension": dimension}
            # Small pages of some tenants, so that there are many; a page of all rows of the others.
            pages = all_pages(api, metric, query | {"limit": 400 if number % 5 == 0 else 10_000}, headers)
            shown = direct(embed, token, metric.name, days, granularity, dimension)
            names = [column.name for column in metric.columns]
            encoded = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in shown])
            assert pages == msgspec.json.decode(encoded), (tenant, metric.name)
        first = api.get("/v1/metrics/active_users", headers=headers).json()
        fresh = wb.freshness()
        assert (first["promotion_id"], first["held"]) == (fresh.promotion_id, False)
        assert fresh.as_of is not None
        assert first["as_of"] == msgspec.to_builtins(fresh.as_of)


def test_who_has_nothing_published_is_answered_without_rows(
    showcase: Showcase, api: httpx.Client, key_of: KeyOf
) -> None:
    for tenant, held in ((showcase.empty, False), (showcase.held, True)):
        answer = api.get("/v1/metrics/events", headers=key_of(tenant)).json()
        assert (answer["rows"], answer["promotion_id"], answer["as_of"]) == ([], None, None)
        assert answer["held"] is held


def test_totals_of_periods_are_those_of_the_overview(showcase: Showcase, embed: psycopg.Connection) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        token, events, users = issued(showcase.database, tenant), wb.table("fct_usage_events"), wb.table("dim_users")
        as_of = wb.freshness().as_of
        assert as_of is not None
        for kind in CALENDAR:
            for segment in ("everybody", "new"):
                chosen = Selection(kind=kind, until=last_day(wb), as_of=as_of, segment=segment)
                period = chosen.window
                start = period.start.date()
                counted = overview.totals(overview.parts(events, users, chosen, period)).row(0, named=True)
                days = (start, start + timedelta(days=1))
                if segment == "new":
                    shown: dict[date, int] = dict(direct(embed, token, "new_users", days, kind))
                    assert shown.get(start, 0) == counted["active_users"], (tenant, kind)
                    continue
                [active] = direct(embed, token, "active_users", days, kind)
                assert active == (start, counted["active_users"], counted["events"]), (tenant, kind)
                visited = direct(embed, token, "sessions", days, kind)
                assert sum(row[1] for row in visited) == counted["sessions"], (tenant, kind)
                by_type = overview.by_type(overview.parts(events, users, chosen, period), period)
                of_type = by_type.filter(pl.col("events") > 0).sort("event_type").select("event_type", "events").rows()
                shown_types = direct(embed, token, "events", days, kind, "event_type")
                assert shown_types == [(start, *row) for row in of_type], (tenant, kind)


def test_stickiness_is_that_of_the_overview(showcase: Showcase, embed: psycopg.Connection) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        token, as_of, last = issued(showcase.database, tenant), wb.freshness().as_of, last_day(wb)
        assert as_of is not None
        shown: dict[date, float] = {
            row[0]: row[1] for row in direct(embed, token, "stickiness", latest_years(wb), "day")
        }
        for back in (1, 9, 40, 300):
            chosen = Selection(kind="28 days", until=last - timedelta(days=back), as_of=as_of)
            found = overview.parts(wb.table("fct_usage_events"), wb.table("dim_users"), chosen, chosen.window)
            counted, _ = overview.stickiness(found, chosen.window)
            assert shown.get(chosen.until) == (None if counted is None else pytest.approx(counted)), (tenant, back)


def test_adoption_is_that_of_the_features_page(showcase: Showcase, embed: psycopg.Connection) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        token, days = issued(showcase.database, tenant), latest_years(wb)
        ranked = features.ranking(wb.table("fct_user_activity"), until=days[1], days=28)
        counted = {row[0]: row[1:] for row in ranked.select("event_type", "adopters", "rate").iter_rows()}
        shown: dict[str, Any] = {
            row[0]: row[1:3] for row in direct(embed, token, "feature_adoption", days, "total", "event_type")
        }
        assert shown == {name: pytest.approx(counted[name]) for name in shown}, tenant


def test_retention_is_that_of_the_retention_page(showcase: Showcase, embed: psycopg.Connection) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        token, (first, last), as_of = issued(showcase.database, tenant), latest_years(wb), wb.freshness().as_of
        assert as_of is not None
        events = wb.table("fct_usage_events")
        for period in ("week", "month"):
            start, _ = whole_range((first, last), period)
            asked = retention.Retention(period=period)
            of = retention.members(events, asked, as_of).filter(pl.col("cohort") >= start)
            cells = retention.cells(events, of, asked, as_of)
            counted = cells.select("cohort", "n", "users", "retained", "share", "open").rows()
            shown = direct(embed, token, "retention", (first, last), period)
            assert rounded(shown) == rounded(counted), (tenant, period)


def test_ranges_that_follow_each_other_add_up(showcase: Showcase, embed: psycopg.Connection) -> None:
    """Whole periods are told whichever of their days is asked for, and days once."""
    for tenant in showcase.tenants[:5]:
        token, (first, last) = issued(showcase.database, tenant), latest_years(showcase.workbench(tenant))
        cuts = [first, first + timedelta(days=500), last - timedelta(days=45), last]
        parts = [row for days in pairwise(cuts) for row in direct(embed, token, "active_users", days, "day")]
        assert parts == direct(embed, token, "active_users", (first, last), "day")
        for row in direct(embed, token, "events", (first, last), "month")[:3]:
            for day in (row[0], row[0] + timedelta(days=20)):
                assert direct(embed, token, "events", (day, day + timedelta(days=1)), "month") == [row]
