"""The SQL notebook in a browser: statements are asked, cancelled, refused with the place marked, and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import DESK, PHONE
from tests.integration.notebooks.analyst_pages import assert_it_can_be_read, assert_it_fits, opened, served_to
from tests.integration.notebooks.served import Target
from tests.showcase import Showcase
from workbench.notebooks import sql

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TENANT = "datasette"
EDITOR = ".cm-content"
ENDLESS = "select count(*) from generate_series(1, 10000000000) as n"


@pytest.fixture(scope="module")
def server(showcase: Showcase) -> Iterator[Target]:
    """The notebook server, with an analyst of the tenant."""
    with served_to(TENANT, showcase) as target:
        yield target


def test_it_runs_for_every_tenant_and_lists_the_tables(showcase: Showcase) -> None:
    for tenant in showcase.tenants:
        _, found = sql.app.run(defs={"wb": showcase.workbench(tenant)})
        assert {"fct_usage_events", "dim_users", "active_users"} <= set(found["names"]), tenant


@pytest.mark.parametrize("which", ["empty", "held"])
def test_it_says_so_where_nothing_is_published(showcase: Showcase, which: str) -> None:
    outputs, found = sql.app.run(defs={"wb": showcase.workbench(getattr(showcase, which))})
    assert "names" not in found
    assert "Waiting for the first events" in "".join(getattr(output, "text", "") for output in outputs)


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "dark"), (PHONE, "light")])
def test_the_page_fits_and_can_be_read(browser: Browser, server: Target, width: int, scheme: Any) -> None:
    viewport = {"width": width, "height": 900}
    with opened(browser, server, "sql", EDITOR, viewport=viewport, color_scheme=scheme) as page:
        ask(page, "select event_type, count(*) as events from fct_usage_events group by 1 order by 2 desc")
        page.wait_for_selector("text=History of this session")
        assert_it_fits(page)
        assert_it_can_be_read(page)
        ask(page, "select event_typo from fct_usage_events")
        page.wait_for_selector(".wb-place")
        assert_it_fits(page)
        assert_it_can_be_read(page)


def test_an_answer_is_a_table_and_a_chart(browser: Browser, server: Target, showcase: Showcase) -> None:
    statement = "select event_type, count(*) as events from fct_usage_events group by 1 order by 2 desc, 1"
    answer = showcase.workbench(TENANT).sql(statement)
    with opened(browser, server, "sql", EDITOR, viewport={"width": DESK, "height": 1600}) as page:
        ask(page, statement)
        page.wait_for_selector(f"text={answer.height} rows")
        first = page.locator("marimo-table tbody tr").first
        assert first.inner_text().split() == [answer["event_type"][0], f"{answer['events'][0]:,}"]
        page.get_by_role("tab", name="Chart").click()
        page.wait_for_selector("svg.marks")
        page.wait_for_selector(f"svg.marks >> text={answer['event_type'][0]}")


def test_a_statement_under_way_is_cancelled(browser: Browser, server: Target) -> None:
    with opened(browser, server, "sql", EDITOR, viewport={"width": DESK, "height": 1600}) as page:
        ask(page, ENDLESS)
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector("text=The statement was cancelled")
        ask(page, "select 7 as lucky")
        page.wait_for_selector("text=1 row,")


def test_a_new_statement_takes_the_place_of_the_one_under_way(browser: Browser, server: Target) -> None:
    with opened(browser, server, "sql", EDITOR, viewport={"width": DESK, "height": 1600}) as page:
        ask(page, ENDLESS)
        page.wait_for_selector("text=Running")
        ask(page, "select 7 as lucky")
        page.wait_for_selector("text=1 row,")
        page.wait_for_selector("marimo-table tbody tr >> text=cancelled")


def test_a_refused_statement_says_why_with_the_place_marked(browser: Browser, server: Target) -> None:
    with opened(browser, server, "sql", EDITOR, viewport={"width": DESK, "height": 1600}) as page:
        ask(page, "explain select 1")
        page.wait_for_selector("text=EXPLAIN is refused")
        assert page.locator(".wb-place b").first.inner_text() == "explain"
        ask(page, "select *\nfrom fct_usage_events\nwhere event_typo = 'x'")
        page.wait_for_selector('text=column "event_typo" does not exist')
        assert page.locator(".wb-place").inner_text().startswith("3: where event_typo = 'x'\n")
        assert page.locator(".wb-place b").first.inner_text() == "event_typo"


def test_of_too_long_an_answer_the_first_rows_are_shown(browser: Browser, server: Target) -> None:
    with opened(browser, server, "sql", EDITOR, viewport={"width": DESK, "height": 1600}) as page:
        ask(page, "select n from generate_series(1, 5000) as n")
        page.wait_for_selector("text=There are more rows.")
        page.wait_for_selector("text=first 1,000 rows")


def ask(page: Page, statement: str) -> None:
    """Type a statement in place of what is in the editor, and run it."""
    page.locator(EDITOR).first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(statement)
    page.get_by_role("button", name="Run", exact=True).click()
