"""The overview in a browser, as an analyst sees it: it fits, it can be read, and each control changes the figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser import DESK, PHONE
from tests.integration.notebooks.served import Target, ours
from tests.showcase import Showcase
from tests.unit.workbench.serving.people import FakePeople, Named, person
from workbench.analysis import overview
from workbench.analysis.overview import Selection
from workbench.analysis.periods import latest_day
from workbench.charts import numbers
from workbench.notebooks import frame
from workbench.session import Workbench, open_workbench, registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TENANT = "datasette"
NOTEBOOKS = Path(frame.__file__).parent
TILES = ".wb-tiles b"

# Boxes that scroll may hold what is wider; marimo's own panels wait beside the window.
REACHING_OUT = """() => [...document.querySelectorAll("[class^=wb-], [class^=wb-] *")]
    .filter(e => !e.closest(".wb-scroll table"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5)
    .map(e => e.outerHTML.slice(0, 120))"""
TOO_FAINT = """() => {
    const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const parse = text => {
        paint.clearRect(0, 0, 1, 1); paint.fillStyle = text; paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const light = rgb => rgb.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const found = parse(getComputedStyle(e).backgroundColor);
            if (found[3] === 255) return found;
        }
        return [255, 255, 255, 255];
    };
    return [...document.querySelectorAll("[class^=wb-] *, .vega-embed svg text")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .map(e => [e, getComputedStyle(e)[e instanceof SVGElement ? "fill" : "color"]])
        .map(([e, colour]) => [e, light(parse(colour)), light(behind(e))])
        .filter(([e, a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5)
        .map(([e]) => e.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="module")
def server(showcase: Showcase) -> Iterator[Target]:
    """The notebook server, with an analyst of the tenant."""
    people = FakePeople()
    people.tenant_names.append(Named(tenant_id=TENANT, display_name=TENANT))
    people.persons["ann@example.com"] = person("ann@example.com", tenant_id=TENANT)
    registry.install(
        lambda tenant: open_workbench(showcase.database, tenant, cache_dir=showcase.cache_dir, pool=showcase.pool)
    )
    with ours(NOTEBOOKS, people=people) as target:
        yield target
    registry.uninstall()


@contextmanager
def opened(browser: Browser, server: Target, **context: Any) -> Iterator[Page]:
    """The overview, with all its charts drawn; fails if the page complains."""
    trouble: list[str] = []
    name, _, value = server.credentials("ann@example.com")["cookie"].partition("=")
    host = urlsplit(server.url).hostname or ""
    with browser.new_context(**context) as window:
        window.add_cookies([{"name": name, "value": value, "domain": host, "path": "/"}])
        page = window.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(server.notebook("overview"))
        page.wait_for_selector(TILES)
        page.wait_for_selector("svg.marks")
        page.wait_for_selector(".wb-table tbody tr")
        yield page
    assert trouble == []


def figures(wb: Workbench, **overrides: Any) -> list[str]:
    """The headline as it is to be read."""
    as_of, events = wb.freshness().as_of, wb.table("fct_usage_events")
    span = overview.span(events)
    assert as_of is not None
    assert span is not None
    chosen: dict[str, Any] = {"kind": "28 days", "until": latest_day(as_of, span.last_at), "as_of": as_of} | overrides
    rows = overview.headline(events, wb.table("dim_users"), Selection(**chosen))
    return [
        numbers.share(now) if measure == "stickiness" else numbers.count(now)
        for measure, now in rows.select("measure", "now").iter_rows()
    ]


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "dark"), (PHONE, "light")])
def test_the_page_fits_and_can_be_read(browser: Browser, server: Target, width: int, scheme: Any) -> None:
    with opened(browser, server, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(REACHING_OUT) == []
        assert page.evaluate(TOO_FAINT) == []


def test_every_control_changes_the_figures(browser: Browser, server: Target, showcase: Showcase) -> None:
    wb = showcase.workbench(TENANT)
    with opened(browser, server, viewport={"width": DESK, "height": 900}) as page:
        assert page.locator(TILES).all_inner_texts() == figures(wb)

        page.get_by_label("Period", exact=True).select_option(label="Last 90 days")
        _shows(page, figures(wb, kind="90 days"))
        page.get_by_label("Users", exact=True).select_option(label="Returning")
        _shows(page, figures(wb, kind="90 days", segment="returning"))
        page.get_by_label("Event type", exact=True).select_option(label="commit")
        _shows(page, figures(wb, kind="90 days", segment="returning", event_type="commit"))

        page.wait_for_function("document.querySelector('.wb-table').tBodies[0].rows.length === 1")
        page.get_by_label("Sessions", exact=True).click()
        page.wait_for_selector("svg.marks path[aria-label*='Sessions: ']", state="attached")


def _shows(page: Page, expected: list[str]) -> None:
    page.wait_for_function(
        f"expected => JSON.stringify([...document.querySelectorAll('{TILES}')].map(e => e.textContent)) === expected",
        arg=str(expected).replace("'", '"').replace(", ", ","),
    )
