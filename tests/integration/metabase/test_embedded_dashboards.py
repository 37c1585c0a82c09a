"""What customers see: every card of every embedded dashboard, for every tenant of the real data, as viewers get it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pipeline.core.database import ServiceRole
from tests.fakes.metabase.embedding import run
from tests.integration.metabase.viewer import Viewer, claims, signed
from tests.integration.metabase.world import Provisioned
from tests.integration.metrics.tokens import issued
from tests.showcase import Showcase
from workbench.metabase.spec import read_specs

Row = Mapping[str, Any]
Project = Callable[[Row], tuple[Any, ...]]
DIRECT = "select * from metrics.{name}(%s, %s, %s, %s, %s)"
DAY = timedelta(days=1)
EMBEDDED = [file for file in read_specs() if file.dashboard.audience == "customers"]
CARDS = [(file.dashboard.title, card.name) for file in EMBEDDED for card in file.dashboard.cards]


def share(value: float | None) -> float | None:
    """As a percentage with one digit, rounded as PostgreSQL rounds."""
    return None if value is None else float(Decimal(repr(100 * value)).quantize(Decimal("0.1"), "ROUND_HALF_UP"))


def of(*columns: str) -> Project:
    """These columns."""
    return lambda row: tuple(row[column] for column in columns)


def minutes(row: Row) -> tuple[Any, ...]:
    return row["period_start"], row["median_seconds"] / 60, row["p90_seconds"] / 60


def feature(row: Row) -> tuple[Any, ...]:
    told = of("event_type", "adopters")(row), (share(row["adoption_rate"]),)
    return (*told[0], *told[1], *of("events", "first_used_at", "last_used_at")(row))


def cohort(row: Row) -> tuple[Any, ...]:
    figures = of("cohort_start", "offset_periods", "cohort_users", "retained_users")(row)
    return (*figures, share(row["rate"]), "not over yet" if row["unfinished"] else "")


SHOWS: dict[tuple[str, str], tuple[str, str | None, str | None, Project]] = {
    ("Usage", "Active users"): ("active_users", "day", None, of("period_start", "active_users")),
    ("Usage", "New users"): ("new_users", "day", None, of("period_start", "new_users")),
    ("Usage", "Events"): ("events", "day", "event_type", of("period_start", "event_type", "events")),
    ("Usage", "Visits"): ("sessions", "day", None, of("period_start", "sessions")),
    ("Usage", "Length of a visit"): ("sessions", "day", None, minutes),
    ("Usage", "Stickiness"): ("stickiness", None, None, of("period_start", "stickiness")),
    ("Adoption", "Adoption"): ("feature_adoption", None, None, of("event_type", "adoption_rate")),
    ("Adoption", "Features"): ("feature_adoption", None, None, feature),
    ("Adoption", "People per feature"): ("feature_users", None, None, of("period_start", "event_type", "active_users")),
    ("Retention", "Cohorts"): ("retention", "week", None, cohort),
}
"""Which metric a card shows, and what of its rows."""
SUMMED = {("Retention", "People who come again"), ("Retention", "People who came first")}
FRESHNESS = {(file.dashboard.title, "Figures as of") for file in EMBEDDED}


@pytest.fixture(scope="module")
def direct(showcase: Showcase) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The functions as the metrics API asks them."""
    with showcase.database.connect(ServiceRole.API, autocommit=True) as connection:
        connection.row_factory = dict_row  # type: ignore[assignment]
        yield connection  # type: ignore[misc]


@pytest.fixture(scope="module")
def range_of_data(showcase: Showcase) -> tuple[date, date]:
    """The half year that ends with the latest event of all."""
    with showcase.database.connect(ServiceRole.BI) as connection:
        row = connection.execute(
            "select max(last_event_at)::date - 180, max(last_event_at)::date from marts.dim_tenants"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def expected(
    direct: psycopg.Connection[dict[str, Any]], token: str, card: tuple[str, str], range_: tuple[date, date]
) -> list[tuple[Any, ...]]:
    """The rows that the metrics API has for a card."""
    metric, granularity, dimension, project = SHOWS[card]
    arguments = (token, range_[0], range_[1] + DAY, granularity, dimension)
    answered = direct.execute(DIRECT.format(name=metric).encode(), arguments).fetchall()
    return [tuple(plain(value) for value in project(row)) for row in answered]


def test_every_card_is_compared_with_something() -> None:
    assert set(CARDS) == SHOWS.keys() | SUMMED | FRESHNESS


def test_for_every_tenant_every_card_shows_what_the_metrics_api_answers(
    showcase: Showcase,
    viewer: Viewer,
    direct: psycopg.Connection[dict[str, Any]],
    range_of_data: tuple[date, date],
) -> None:
    chosen = {"from": range_of_data[0].isoformat(), "to": range_of_data[1].isoformat()}
    seen = 0
    for tenant in showcase.tenants:
        token = issued(showcase.database, tenant)
        for card in SHOWS:
            jwt = signed(claims(viewer.number(card[0]), [token]))
            shown = viewer.rows(jwt, *card, **chosen)
            assert shown == expected(direct, token, card, range_of_data), (tenant, card)
            seen += len(shown)
    assert seen > 1_000


def test_the_retention_curve_is_that_of_the_cohorts(
    showcase: Showcase, viewer: Viewer, range_of_data: tuple[date, date]
) -> None:
    chosen = {"from": range_of_data[0].isoformat(), "to": range_of_data[1].isoformat(), "granularity": "month"}
    for tenant in showcase.tenants[:5]:
        jwt = signed(claims(viewer.number("Retention"), [issued(showcase.database, tenant)]))
        cohorts = [row for row in viewer.rows(jwt, "Retention", "Cohorts", **chosen) if not row[5]]
        first = viewer.rows(jwt, "Retention", "People who came first", **chosen)
        assert first == [(row[0], row[2]) for row in viewer.rows(jwt, "Retention", "Cohorts", **chosen) if row[1] == 0]
        for offset, rate in viewer.rows(jwt, "Retention", "People who come again", **chosen):
            those = [row for row in cohorts if row[1] == offset]
            assert rate == pytest.approx(sum(row[3] for row in those) / sum(row[2] for row in those))


def test_every_card_runs_without_a_choice_of_the_viewer(showcase: Showcase, viewer: Viewer) -> None:
    token = issued(showcase.database, showcase.tenants[0])
    for dashboard, card in CARDS:
        viewer.rows(signed(claims(viewer.number(dashboard), [token])), dashboard, card)


def test_every_granularity_that_a_dashboard_offers_is_one_of_its_metrics(showcase: Showcase, viewer: Viewer) -> None:
    token = issued(showcase.database, showcase.tenants[0])
    for file in EMBEDDED:
        dashboard = file.dashboard
        for value in next((each.values for each in dashboard.parameters if each.slug == "granularity"), ()):
            for card in dashboard.cards:
                jwt = signed(claims(viewer.number(dashboard.title), [token]))
                viewer.rows(jwt, dashboard.title, card.name, granularity=value)


def test_a_held_tenant_and_one_without_data_see_no_figures(showcase: Showcase, viewer: Viewer) -> None:
    for tenant in (showcase.held, showcase.empty):
        token = issued(showcase.database, tenant)
        for dashboard, card in SHOWS:
            rows = viewer.rows(signed(claims(viewer.number(dashboard), [token])), dashboard, card)
            assert not any(value for row in rows for value in row[1:] if not isinstance(value, str)), (tenant, card)


def test_the_state_of_the_figures_is_on_every_dashboard(showcase: Showcase, viewer: Viewer) -> None:
    token = issued(showcase.database, showcase.tenants[0])
    for dashboard, card in sorted(FRESHNESS):
        ((as_of, state),) = viewer.rows(signed(claims(viewer.number(dashboard), [token])), dashboard, card)
        assert as_of.startswith("20")
        assert state == "Up to date"


def test_staff_see_every_card_of_theirs(world: Provisioned) -> None:
    store = world.metabase.store
    staff = [file for file in read_specs() if file.dashboard.audience == "staff"]
    for file in staff:
        for card in file.dashboard.cards:
            (kept,) = (each for each in store.cards.values() if each["name"] == card.name)
            for values in ({}, {"from": "2020-01-01", "to": "2027-01-01", "tenant_id": "acme"}):
                told = run(store, kept, values)
                assert told["status"] == "completed", (card.name, told)
