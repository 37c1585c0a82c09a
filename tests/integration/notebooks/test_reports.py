"""Reports of the real data set: each notebook, read without a network, at a desk, on a phone and on paper."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import DESK, PHONE, REACHING_OUT, assert_it_can_be_read, opened
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.showcase import Showcase
from workbench.promotions import read_promotion
from workbench.reports.report import Report, make_report, reportable

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TENANT = "dlt"
NOTEBOOKS = [notebook.name for notebook in reportable()]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# The boxes of notebooks that scroll.
OUTSIDE = REACHING_OUT.replace(".scroll", ".wb-scroll")
PICTURES = ".wr-chart > div"


def made(showcase: Showcase, name: str, tenant: str = TENANT) -> Report:
    """A notebook's report."""
    return make_report(
        showcase.workbench(tenant),
        name,
        moment_of=lambda number: read_promotion(showcase.database, number).promotion.as_of,
    )


@pytest.fixture(scope="module")
def reports(showcase: Showcase) -> dict[str, Report]:
    """Each notebook's report of one tenant."""
    return {name: made(showcase, name) for name in NOTEBOOKS}


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_every_report_fits_and_can_be_read_without_a_network(
    browser: Browser, reports: dict[str, Report], tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    file = tmp_path / "report.html"
    file.write_text(reports[name].html, encoding="utf-8")
    with opened(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        assert page.get_by_role("heading", level=1).inner_text() == reports[name].title
        assert page.get_by_text(f"Promotion {reports[name].promotion_id}", exact=True).is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(OUTSIDE) == []
        assert_it_can_be_read(page)
        red, *_ = map(int, page.evaluate(BACKGROUND).removeprefix("rgb(").rstrip(")").split(","))
        assert (red < 64) == (scheme == "dark")


def test_the_overview_shows_its_chart_and_one_width_of_it(
    browser: Browser, reports: dict[str, Report], tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(reports["overview"].html, encoding="utf-8")
    for width, shown in ((DESK, "wr-wide"), (PHONE, "wr-narrow")):
        with opened(browser, file, viewport={"width": width, "height": 900}) as page:
            visible = page.locator(PICTURES).evaluate_all(
                "all => all.filter(e => e.checkVisibility()).map(e => e.className)"
            )
            assert set(visible) == {shown}
            assert page.locator(f".{shown} path").count() > 10
    with opened(browser, file, viewport={"width": 718, "height": 1000}, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert page.pdf(format="A4").count(b"/Type /Page\n") >= 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_same_promotion_gives_the_same_bytes(showcase: Showcase, reports: dict[str, Report], name: str) -> None:
    assert made(showcase, name).sha256 == reports[name].sha256
    assert made(showcase, name, "openmeter").sha256 != reports[name].sha256


def test_the_command_writes_the_report_and_tells_what_it_wrote(
    showcase: Showcase, reports: dict[str, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workbench = CommandLine(environment(showcase.database, tmp_path / "home"))
    told = workbench.json("report", "overview", "--tenant", TENANT, "--promotion", "1")
    written = tmp_path / f"overview-{TENANT}-promotion-1.html"
    assert (told["path"], told["promotion"], told["held"]) == (written.name, 1, False)
    assert told["sha256"] == hashlib.sha256(written.read_bytes()).hexdigest() == reports["overview"].sha256
    elsewhere = tmp_path / "elsewhere.html"
    assert str(elsewhere) in workbench.run("report", "overview", "--tenant", TENANT, "--html", str(elsewhere)).stdout
    assert elsewhere.read_bytes() == written.read_bytes()


def test_what_cannot_be_reported_is_told_and_leaves_no_file(showcase: Showcase, tmp_path: Path) -> None:
    workbench = CommandLine(environment(showcase.database, tmp_path / "home"))
    file = tmp_path / "report.html"
    for words, message in (
        (("overview", "--tenant", TENANT, "-p", "2"), "is of promotion 1, not of 2"),
        (("overview", "--tenant", showcase.empty), f"Nothing of {showcase.empty} is published yet"),
        (("overview", "--tenant", showcase.held), f"Nothing of {showcase.held} is published yet"),
        (("quality", "--tenant", TENANT), "There is no notebook quality to make a report of"),
        (("overview", "--tenant", "nobody"), "nobody"),
    ):
        assert message in workbench.run("report", *words, "--html", str(file), exits=1).stderr
    assert not file.exists()
