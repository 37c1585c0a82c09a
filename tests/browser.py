"""A real browser for pages that we write: the system's Chromium, driven by Playwright.

`browser` is the fixture; `opened` opens a file in it, and fails if the page complains or asks anybody for
anything. What is asked of every page, at any width and by day and night, is here too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESK, PHONE = 1280, 390
"""Widths of a window, in CSS pixels."""

# Boxes that scroll may hold what is wider than the window; nothing else may reach out of it.
REACHING_OUT = """() => [...document.querySelectorAll("body *")]
    .filter(e => !e.closest(".skip") && !e.parentElement.closest(".scroll"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5)
    .map(e => e.outerHTML.slice(0, 120))"""

# WCAG 2: 4.5 to 1 for text, against what is behind it.
TOO_FAINT = """() => {
    const parse = text => (text.match(/[0-9.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const found = parse(getComputedStyle(e).backgroundColor);
            if (found.length === 3 || found[3] > 0) return found;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("body *")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .filter(e => !(e instanceof SVGElement))
        .map(e => [e, light(parse(getComputedStyle(e).color)), light(behind(e))])
        .filter(([e, a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5)
        .map(([e]) => e.outerHTML.slice(0, 120));
}"""


# Not of the session: while it runs, no other test of the process can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, for the tests of one module."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed; `make setup` does it.")
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        missing("Chromium is not installed; on Debian and Ubuntu: apt-get install chromium.")
    with sync_playwright() as playwright:
        # As root, which containers often are, its sandbox does not start.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, **context: Any) -> Iterator[Page]:
    """A page of a file; fails if it writes to the console, breaks, opens a dialog or requests anything else.

    `context` is how it is looked at: `viewport`, `color_scheme` and what else Playwright knows.
    """
    trouble: list[str] = []
    with browser.new_context(**context) as window:
        page = window.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("request", lambda request: trouble.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri(), wait_until="networkidle")
        yield page
    assert trouble == []


def assert_it_fits(page: Page) -> None:
    """The page does not scroll sideways, and nothing is cut off at its sides; what is wide scrolls in its own box."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(REACHING_OUT) == []


def assert_it_can_be_read(page: Page) -> None:
    """All text stands out from what is behind it."""
    assert page.evaluate(TOO_FAINT) == []
