"""The page in a real browser: at a desk and on a phone, by day and by night, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import DESK, PHONE, assert_it_can_be_read, assert_it_fits, opened
from tests.integration.promote.world import wait_until
from tests.unit.workbench.quality.reports import finding, full_report, held, point, report, tenant
from workbench.quality.page import render
from workbench.quality.report import QualityReport

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECTIONS = ("tenants", "warnings", "checks", "passed", "trend", "next")
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@contextmanager
def shown(browser: Browser, folder: Path, read: QualityReport, **context: Any) -> Iterator[Page]:
    """The page of a report, open in the browser."""
    file = folder / "report.html"
    file.write_text(render(read), encoding="utf-8")
    with opened(browser, file, **context) as page:
        yield page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_fits_and_can_be_read(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    window = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with shown(browser, tmp_path, full_report(), **window) as page:
        for section in SECTIONS:
            assert page.locator(f"h2#{section}").is_visible()
        assert_it_fits(page)
        page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
        assert_it_fits(page)
        assert_it_can_be_read(page)
        red, *_ = map(int, page.evaluate(BACKGROUND).removeprefix("rgb(").rstrip(")").split(","))
        assert (red < 64) == (scheme == "dark")


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_of_one_tenant_with_long_names_fits(browser: Browser, tmp_path: Path, width: int) -> None:
    name = "a" * 63
    rows = [{f"column_{number}": "W" * 500 for number in range(12)} for _ in range(20)]
    long = held(name, findings=[finding("rule_" * 20, samples=rows)])
    trend = [point(number, verdict="failed", events=10**12) for number in range(1, 31)]
    read = report(long, tenant_id=name, trend=trend)
    with shown(browser, tmp_path, read, viewport={"width": width, "height": 900}) as page:
        assert_it_fits(page)
        [box] = page.get_by_role("region", name=f"Sample rows of {'rule_' * 20}, {name}").all()
        box.focus()
        page.keyboard.press("End")
        wait_until(lambda: box.evaluate("e => e.scrollTop") > 0)


def test_all_of_it_is_on_paper(browser: Browser, tmp_path: Path) -> None:
    many = [tenant(f"tenant-{number}") for number in range(60)]
    rows = [{"event_id": number, "at": "2026-03-02"} for number in range(20)]
    read = report(held(findings=[finding(samples=rows)]), *many)
    with shown(browser, tmp_path, read, viewport={"width": 718, "height": 1000}) as page:
        closed = page.locator("details:not([open]) table").first
        assert not closed.is_visible()
        page.emulate_media(media="print", color_scheme="dark")
        assert closed.bounding_box() is not None
        assert page.locator("details:not([open]) td").first.evaluate("e => e.checkVisibility()")
        assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert not page.get_by_role("navigation").is_visible()
        hidden = (
            "all => all.filter(e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1).length"
        )
        assert page.locator(".scroll").evaluate_all(hidden) == 0
        assert page.pdf(format="A4").count(b"/Type /Page\n") > 3
