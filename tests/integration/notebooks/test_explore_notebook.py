"""Explore for every tenant of the real data set, and in a browser: what is brushed and chosen is what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import DESK, PHONE
from tests.integration.notebooks.analyst_pages import assert_it_fits, opened, served_to
from tests.integration.notebooks.served import Target
from tests.showcase import Showcase
from workbench.analysis.explore import Question
from workbench.analysis.explore_choices import period_of
from workbench.analysis.explore_options import bounds_of
from workbench.analysis.explore_sql import as_sql
from workbench.charts import numbers
from workbench.notebooks import explore
from workbench.session import Workbench

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TENANT = "datasette"
TILES, CHART = ".wb-tiles b", "svg.marks"


@pytest.fixture(scope="module")
def server(showcase: Showcase) -> Iterator[Target]:
    """The notebook server, with an analyst of the tenant."""
    with served_to(TENANT, showcase) as target:
        yield target


def test_it_runs_for_every_tenant_and_counts_what_the_marts_hold(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        wb = showcase.workbench(tenant)
        _, found = explore.app.run(defs={"wb": wb})
        question = found["question"]
        assert found["picked"].height == wb.sql(*as_sql(question.total())).item(), tenant
        assert found["series"].equals(wb.sql(*as_sql(question))), tenant
        assert wb.sql(found["statement"], found["params"]).equals(found["series"]), tenant


@pytest.mark.parametrize("which", ["empty", "held"])
def test_it_says_so_where_nothing_is_published(showcase: Showcase, which: str) -> None:
    outputs, found = explore.app.run(defs={"wb": showcase.workbench(getattr(showcase, which))})
    assert "question" not in found
    assert "Waiting for the first events" in "".join(getattr(output, "text", "") for output in outputs)


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "dark"), (PHONE, "light")])
def test_the_page_fits(browser: Browser, server: Target, width: int, scheme: Any) -> None:
    viewport = {"width": width, "height": 900}
    with opened(browser, server, "explore", CHART, viewport=viewport, color_scheme=scheme) as page:
        page.wait_for_selector("text=Take it along")
        assert_it_fits(page)


def test_each_control_changes_the_figures(browser: Browser, server: Target, showcase: Showcase) -> None:
    wb = showcase.workbench(TENANT)
    with opened(browser, server, "explore", CHART, viewport={"width": DESK, "height": 900}) as page:
        asked = usual(wb)
        expect_tile(page, figure(wb, asked))
        choose(page, "Active users")
        expect_tile(page, figure(wb, asked, measure="active_users"))
        choose(page, "All time")
        asked = usual(wb, "All time")
        expect_tile(page, figure(wb, asked, measure="active_users"))
        choose(page, "Month")
        page.wait_for_selector("text=Active users, each month")
        choose(page, "Hour")
        page.wait_for_selector("text=The period has too many hours")
        choose(page, "Sum of a number")
        choose(page, "properties.files")
        page.wait_for_selector("text=Sum of properties.files")


def test_what_is_brushed_is_what_everything_below_shows(browser: Browser, server: Target, showcase: Showcase) -> None:
    wb = showcase.workbench(TENANT)
    with opened(browser, server, "explore", CHART, viewport={"width": DESK, "height": 2400}) as page:
        before = page.locator(TILES).first.inner_text()
        brush(page, 0.35, 0.6)
        page.wait_for_function("before => document.querySelector('.wb-tiles b').innerText !== before", arg=before)
        since, until = re.findall(r"\d{4}-\d\d-\d\dT00:00:00\+00:00", page.locator(".wb-values").first.inner_text())
        narrow = Question().within(datetime.fromisoformat(since), datetime.fromisoformat(until))
        assert page.locator(TILES).first.inner_text() == figure(wb, narrow)
        events = wb.sql(*as_sql(Question(since=narrow.since, until=narrow.until))).item()
        page.wait_for_selector(f"text=All {events:,} events")


def brush(page: Page, start: float, end: float) -> None:
    """Drag along the chart between two parts of its width."""
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] * start, box["y"] + box["height"] / 2
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, down, steps=12)
    page.mouse.up()


def usual(wb: Workbench, period: str = "Last 90 days") -> Question:
    """All events of a period."""
    bounds = bounds_of(wb.table("fct_usage_events"))
    assert bounds is not None
    return Question().within(*period_of(period, None, bounds))


def figure(wb: Workbench, question: Question, measure: Any = "events") -> str:
    """A total as it is to be read, by SQL."""
    asked = Question(measure=measure, since=question.since, until=question.until)
    return numbers.count(wb.sql(*as_sql(asked)).item())


def expect_tile(page: Page, shown: str) -> None:
    """Wait until the first tile shows it."""
    page.wait_for_function("shown => document.querySelector('.wb-tiles b').innerText === shown", arg=shown)


def choose(page: Page, option: str) -> None:
    """Choose an option in whichever list has it."""
    page.locator("select", has=page.locator("option", has_text=re.compile(f"^{re.escape(option)}$"))).select_option(
        option
    )
