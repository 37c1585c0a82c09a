"""The page with a frame in docs/embedding.md, in a real browser; the product's server and Metabase are made up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.embeds_openapi import EMBED_EXAMPLE
from tests.browser import DESK

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

DOCUMENT = (Path(__file__).parents[3] / "docs" / "embedding.md").read_text()
PAGE = re.findall(r"^```html\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)[0]
PRODUCT, METABASE = "https://app.example.com", "https://metabase.example.com"
FAR, PAST = "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
COME_BACK = "document.dispatchEvent(new Event('visibilitychange'))"


class Product:
    """A product's server, which answers what the test says, and counts."""

    def __init__(self) -> None:
        self.status = 200
        self.told: dict[str, Any] = {}
        self.asked = 0

    def page(self, browser: Browser) -> Page:
        """The page, opened."""
        page = browser.new_page(viewport={"width": DESK, "height": 900})
        page.route(f"{PRODUCT}/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.route(f"{PRODUCT}/analytics/embed?dashboard=usage", self._answer)
        page.route(f"{METABASE}/**", lambda route: route.fulfill(body="<h1>Usage</h1>", content_type="text/html"))
        page.goto(f"{PRODUCT}/")
        return page

    def answers(self, number: int, **changes: Any) -> None:
        """From now on a token of this number."""
        url = f"{METABASE}/embed/dashboard/token-{number}#bordered=false"
        self.told = {**EMBED_EXAMPLE, "url": url, "expires_at": FAR, **changes}

    def _answer(self, route: Route) -> None:
        assert route.request.method == "POST"
        self.asked += 1
        route.fulfill(status=self.status, body=json.dumps(self.told), content_type="application/json")


def test_the_frame_shows_the_dashboard_and_of_when_it_is(browser: Browser) -> None:
    product = Product()
    product.answers(1)
    page = product.page(browser)
    page.frame_locator("#usage").get_by_role("heading", name="Usage").wait_for()
    assert page.locator("#usage").get_attribute("src") == product.told["url"]
    assert page.locator("#as-of").inner_text().startswith("As of ")
    assert "checked" not in page.locator("#as-of").inner_text()
    page.evaluate(COME_BACK)
    assert product.asked == 1
    page.close()


def test_who_comes_back_after_the_token_has_expired_gets_a_new_one(browser: Browser) -> None:
    product = Product()
    product.answers(1, expires_at=PAST, held=True)
    page = product.page(browser)
    page.get_by_text("newer data is being checked").wait_for()
    product.answers(2)
    page.evaluate(COME_BACK)
    page.locator("#usage[src*='token-2']").wait_for()
    assert product.asked == 2
    page.close()


def test_why_there_is_no_dashboard_is_told_in_its_place(browser: Browser) -> None:
    for field in ("message", "detail"):
        product = Product()
        product.status, product.told = 409, {field: "Nothing of tenant acme is published yet."}
        page = product.page(browser)
        page.get_by_text("Nothing of tenant acme is published yet.").wait_for()
        assert page.locator("#usage").get_attribute("src") is None
        page.close()
