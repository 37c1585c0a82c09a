"""Our own pages and a notebook in a real browser: at a desk and on a phone, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.core.clock import utc_now
from pipeline.core.notebooks import NotebookSettings
from tests.browser import DESK, PHONE, assert_it_can_be_read, assert_it_fits
from tests.integration.notebooks import attacks
from tests.integration.notebooks.served import Target, ours
from tests.unit.workbench.serving.people import PASSWORD
from workbench.session.freshness import Freshness

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHARTED = attacks.ROWS.replace(
    "    mo.download(",
    """    import altair as alt
    import polars as pl

    mo.ui.altair_chart(alt.Chart(pl.DataFrame({"x": ["a", "b"], "y": [1.0, 2.0]})).mark_bar().encode(x="x", y="y"))
    return


@app.cell
def _(mo, tenant):
    mo.download(""",
)
LOOKS = [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]


def held(_tenant_id: str) -> Freshness:
    """Held for three hours."""
    now = utc_now()
    return Freshness(promotion_id=7, as_of=now - timedelta(minutes=20), held=True, held_since=now - timedelta(hours=3))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Our server with a charted notebook, full for who has one open, and a provider to sign in with."""
    folder: Path = attacks.write_notebooks(tmp_path_factory.mktemp("notebooks"), overview=CHARTED, rows=attacks.ROWS)
    settings = NotebookSettings(
        port=0, sessions_per_user=1, oidc_issuer="https://id.example", oidc_client_id="x", oidc_client_secret="y"
    )
    with ours(folder, settings=settings, freshness_of=held) as target:
        yield target


@contextmanager
def window(browser: Browser, target: Target, width: int, scheme: str) -> Iterator[Page]:
    """A window in which nothing may be asked of anybody else, and no script or style may be refused or break."""
    trouble: list[str] = []
    with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda asked: _note_foreign(asked.url, target, trouble))
        yield page
    assert trouble == []


def _note_foreign(url: str, target: Target, trouble: list[str]) -> None:
    if not url.startswith((target.url, target.url.replace("http", "ws", 1), "data:", "blob:")):
        trouble.append(url)


def sign_in(page: Page, target: Target, email: str) -> None:
    """Fill in the sign-in page, by its labels."""
    page.goto(target.url)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_our_pages_fit_and_can_be_read(browser: Browser, target: Target, width: int, scheme: str) -> None:
    with window(browser, target, width, scheme) as page:
        page.goto(target.url)
        assert page.evaluate("document.activeElement.id") == "email"
        assert_it_fits(page)
        assert_it_can_be_read(page)
        sign_in(page, target, "admin@example.com")
        page.get_by_label("Tenant").select_option("globex")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("heading", name="Globex <Corporation>").wait_for()
        page.wait_for_load_state()
        assert page.get_by_text("20 minutes ago").is_visible()
        assert page.get_by_role("link", name="Overview").count() + page.get_by_role("link", name="Rows").count() == 2
        assert_it_fits(page)
        assert_it_can_be_read(page)
        page.get_by_role("link", name="Account").click()
        page.get_by_label("New password").wait_for()
        page.wait_for_load_state()
        assert_it_fits(page)
        assert_it_can_be_read(page)


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_a_notebook_works_under_its_policy_and_ends_with_the_sign_in(
    browser: Browser, target: Target, width: int, scheme: str
) -> None:
    with window(browser, target, width, scheme) as page:
        sign_in(page, target, "acme@example.com")
        page.locator("a.card").first.click()
        page.get_by_text("secret of acme, word []").wait_for()
        page.locator("marimo-vega canvas, marimo-vega svg").first.wait_for()
        page.get_by_label("word").fill("hello")
        page.get_by_label("word").press("Enter")
        page.get_by_text("word [hello]").wait_for()
        with page.expect_download() as download:
            page.get_by_text("Download").first.click()
        assert Path(download.value.path()).read_text() == "file of acme"
        target.people.tokens.clear()
        page.get_by_text("kernel not found").first.wait_for()
        page.goto(target.url)
        page.get_by_label("Password").wait_for()


def test_who_has_as_many_open_as_may_be_is_told_and_closes_them(browser: Browser, target: Target) -> None:
    trouble = "Failed to load resource: the server responded with a status of 429"
    with browser.new_context() as context:
        first, second = context.new_page(), context.new_page()
        said: list[str] = []
        second.on("console", lambda message: said.append(message.text))
        sign_in(first, target, "acme@example.com")
        first.locator("a.card").first.click()
        first.get_by_text("secret of acme").wait_for()
        second.goto(f"{target.url}/notebooks/rows/")
        second.get_by_role("heading", name="Too many notebooks are open").wait_for()
        assert_it_can_be_read(second)
        assert [text.partition(" (")[0] for text in said] == [trouble]
        second.get_by_role("button", name="Close all my notebooks").click()
        second.get_by_text("secret of acme").wait_for()
