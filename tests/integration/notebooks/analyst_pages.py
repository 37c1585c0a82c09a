"""Notebooks in a browser as an analyst of one tenant of the real data set sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.integration.notebooks.served import Target, ours
from tests.integration.notebooks.test_overview_page import REACHING_OUT, TOO_FAINT
from tests.showcase import Showcase
from tests.unit.workbench.serving.people import FakePeople, Named, person
from workbench.notebooks import frame
from workbench.session import open_workbench, registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WHO = "ann@example.com"


@contextmanager
def served_to(tenant_id: str, showcase: Showcase) -> Iterator[Target]:
    """The notebook server, with an analyst of the tenant."""
    people = FakePeople()
    people.tenant_names.append(Named(tenant_id=tenant_id, display_name=tenant_id))
    people.persons[WHO] = person(WHO, tenant_id=tenant_id)
    registry.install(
        lambda tenant: open_workbench(showcase.database, tenant, cache_dir=showcase.cache_dir, pool=showcase.pool)
    )
    with ours(Path(frame.__file__).parent, people=people) as target:
        yield target
    registry.uninstall()


@contextmanager
def opened(browser: Browser, server: Target, notebook: str, ready: str, **context: Any) -> Iterator[Page]:
    """A notebook's page once `ready` is seen; fails if the page breaks."""
    trouble: list[str] = []
    name, _, value = server.credentials(WHO)["cookie"].partition("=")
    with browser.new_context(**context) as window:
        window.add_cookies([{"name": name, "value": value, "domain": urlsplit(server.url).hostname or "", "path": "/"}])
        page = window.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(server.notebook(notebook))
        page.wait_for_selector(ready)
        yield page
    assert trouble == []


def assert_it_fits(page: Page) -> None:
    """The page does not scroll sideways, and nothing reaches out of it."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(REACHING_OUT) == []


def assert_it_can_be_read(page: Page) -> None:
    """All text stands out from its ground."""
    assert page.evaluate(TOO_FAINT) == []
