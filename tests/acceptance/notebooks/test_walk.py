"""People walk through all notebooks in a real browser: every control is changed once, and figures are the marts'.

Two analysts and a steward; at a desk and on a phone, by day and by night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from pipeline.core.notebooks import NotebookSettings
from pipeline.core.settings import Settings
from tests.acceptance.notebooks.person import Person, signed_in
from tests.browser import assert_it_fits
from tests.showcase import Showcase
from workbench.cli.notebooks import serve_notebooks
from workbench.people.register import add_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PASSWORD = "a walk through the notebooks"
ANALYSTS = ("lago-api", "datasette")
WINDOWS = [("desk", "light"), ("phone", "dark")]

SCROLLS_SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"
IN_DAYS = """
select {what} from marts.fct_usage_events
where tenant_id = %(tenant)s and occurred_on > (
    select max(occurred_on) - %(days)s::int from marts.fct_usage_events where tenant_id = %(tenant)s
)
"""
EVENTS = IN_DAYS.format(what="count(*)")
SESSIONS = IN_DAYS.format(what="count(distinct session_id)")
USERS = IN_DAYS.format(what="count(distinct user_id)")
DID_THE_COMMONEST = f"""
{IN_DAYS.format(what="count(distinct user_id)")} and event_type = %(event_type)s
"""
ADOPTERS = "select adopters from marts.feature_adoption where tenant_id = %(tenant)s and event_type = %(event_type)s"
ALL_EVENTS = "select count(*) from marts.fct_usage_events where tenant_id = %(tenant)s"
HELD_EVENTS = "select sum(raw_rows) from control.holds where state = 'open'"


class Marts:
    """What the marts say, asked as the administrator."""

    def __init__(self, showcase: Showcase, tenant: str = "") -> None:
        self._database = showcase.database
        self._tenant = tenant

    def figure(self, query: str, **values: Any) -> str:
        """A number as the pages write it."""
        with self._database.connect_admin() as connection:
            row = connection.execute(query, values | {"tenant": self._tenant}).fetchone()
        assert row is not None
        return f"{row[0]:,}"


@pytest.fixture(scope="module")
def server(showcase: Showcase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The notebook server on the real data set, with two analysts and a steward; its address."""
    for tenant in ANALYSTS:
        email = f"{tenant}@example.com"
        add_user(showcase.database, email, role="analyst", tenant_id=tenant, password=PASSWORD, actor="tests")
    add_user(showcase.database, "steward@example.com", role="steward", tenant_id=None, password=PASSWORD, actor="tests")
    settings = Settings.from_environment({"WORKBENCH_HOME": str(tmp_path_factory.mktemp("notebooks"))})
    with serve_notebooks(replace(settings, notebooks=NotebookSettings(port=0)), showcase.database) as url:
        yield url


@pytest.fixture(params=list(zip(ANALYSTS, WINDOWS, strict=True)), ids=ANALYSTS)
def analyst(
    browser: Browser, server: str, showcase: Showcase, request: pytest.FixtureRequest
) -> Iterator[tuple[Person, Marts]]:
    """An analyst who has signed in, and the marts of the tenant."""
    tenant, (window, scheme) = request.param
    with signed_in(browser, server, f"{tenant}@example.com", PASSWORD, window=window, scheme=scheme) as person:
        yield person, Marts(showcase, tenant)


def walk(person: Person, least: int) -> None:
    """Change everything; the page must fit its window before and after, and complain of nothing."""
    assert person.page.evaluate(SCROLLS_SIDEWAYS) is False
    changed = person.change_everything()
    assert len(changed) >= least, changed
    assert person.page.evaluate(SCROLLS_SIDEWAYS) is False
    assert person.trouble == []


def test_the_home_page_leads_to_every_notebook_of_an_analyst(analyst: tuple[Person, Marts]) -> None:
    person, _ = analyst
    told = person.text()
    for title in ("Overview", "Explore", "Funnels", "Retention", "Features", "SQL"):
        assert title in told
    assert "Quality" not in told
    assert "Data up to" in told
    assert_it_fits(person.page)


def test_overview(analyst: tuple[Person, Marts]) -> None:
    person, marts = analyst
    person.open("overview")
    assert person.tile("Events") == marts.figure(EVENTS, days=28)
    assert person.tile("Sessions") == marts.figure(SESSIONS, days=28)
    walk(person, 5)
    go_home(person)


def test_explore(analyst: tuple[Person, Marts]) -> None:
    person, marts = analyst
    person.open("explore")
    assert person.tile("Events") == marts.figure(EVENTS, days=90)
    assert person.tile("Active users") == marts.figure(USERS, days=90)
    walk(person, 7)


def test_funnels(analyst: tuple[Person, Marts]) -> None:
    person, marts = analyst
    person.open("funnels")
    first = person.page.locator(".wb-table tbody th").first.inner_text().removeprefix("1 ")
    assert person.tile("Users with step 1") == marts.figure(DID_THE_COMMONEST, days=90, event_type=first)
    walk(person, 7)


def test_retention(analyst: tuple[Person, Marts]) -> None:
    person, _ = analyst
    person.open("retention")
    assert int(person.tile("Users").replace(",", "")) > 0
    walk(person, 6)


def test_features(analyst: tuple[Person, Marts]) -> None:
    person, marts = analyst
    person.open("features")
    feature = person.page.locator(".wb-table tbody th").first.inner_text()
    adopters = person.page.locator(".wb-table tbody td").first.inner_text()
    assert adopters == marts.figure(ADOPTERS, event_type=feature)
    walk(person, 3)


def test_sql(analyst: tuple[Person, Marts]) -> None:
    person, marts = analyst
    person.open("sql")
    editor = person.page.locator(".cm-content").first
    ask(person, editor, "select count(*) as n from fct_usage_events")
    counted = marts.figure(ALL_EVENTS)
    expect(person.page.get_by_text(re.compile(f"^({counted}|{counted.replace(',', '')})$")).first).to_be_visible()
    ask(person, editor, "explain select 1")
    expect(person.page.get_by_text(re.compile("EXPLAIN")).first).to_be_visible()
    walk(person, 3)


def go_home(person: Person) -> None:
    """Follow the link on a notebook that leads to the list of notebooks."""
    person.page.get_by_role("link", name="All notebooks").click()
    person.page.get_by_text("Sign out").wait_for()


def ask(person: Person, editor: Any, statement: str) -> None:
    """Write a statement and run it."""
    editor.click()
    person.page.keyboard.press("Control+A")
    person.page.keyboard.insert_text(statement)
    person.page.get_by_role("button", name="Run", exact=True).click()
    person.settle()


@pytest.mark.parametrize(("window", "scheme"), [("desk", "dark"), ("phone", "light")])
def test_quality(browser: Browser, server: str, showcase: Showcase, window: str, scheme: str) -> None:
    with signed_in(browser, server, "steward@example.com", PASSWORD, window=window, scheme=scheme) as person:
        assert "Overview" not in person.text()
        person.open("quality")
        assert person.tile("Held now") == "1"
        assert person.tile("Events that wait") == Marts(showcase).figure(HELD_EVENTS)
        assert showcase.held in person.text()
        walk(person, 5)
        go_home(person)
